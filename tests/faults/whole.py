"""What the files of the program look like when they are whole, and which of them are the same."""

import hashlib
import json
import os
import re
import struct
from pathlib import Path

TEMPORARY = ".vmfmix-"
MODEL = "model_parameters.json"
# A report tells how long the work took: the only part of it that two runs do not share.
TIMES_IN_PAGE = re.compile(rb'<tr><th scope="row">seconds [^<]{0,40}</th><td>[^<]*</td></tr>')


def npy(data):
    """Shape and numbers (f32) of a matrix; an error if it is not whole."""
    if data[:6] != b"\x93NUMPY":
        raise ValueError("not a .npy file")
    wide = data[6] > 1
    length = struct.unpack("<I" if wide else "<H", data[8 : 12 if wide else 10])[0]
    begin = (12 if wide else 10) + length
    header = data[10:begin].decode("latin-1")
    shape = [int(word) for word in re.search(r"'shape': \(([^)]*)\)", header)[1].split(",") if word.strip()]
    count = 1
    for side in shape:
        count *= side
    if len(data) != begin + 4 * count:
        raise ValueError(f"{len(data)} bytes instead of {begin + 4 * count}")
    return shape, struct.unpack(f"<{count}f", data[begin:])


def damage(path, data=None):
    """What is wrong with a file, or None: JSON can be read, Parquet has its magic numbers at both ends, a matrix is as long as its
    header says, a page and a picture have their ends."""
    data = path.read_bytes() if data is None else data
    if not data:
        return "empty"
    kind = path.suffix
    try:
        if kind == ".json":
            json.loads(data)
        elif kind == ".npy":
            npy(data)
    except (ValueError, struct.error, TypeError) as error:
        return str(error)
    if kind == ".parquet":
        footer = struct.unpack("<I", data[-8:-4])[0] if len(data) >= 12 else len(data)
        if data[:4] != b"PAR1" or data[-4:] != b"PAR1" or footer + 12 > len(data):
            return "not a whole Parquet file"
    elif kind == ".html" and not data.rstrip().endswith(b"</html>"):
        return "without its end"
    elif kind == ".png" and b"IEND" not in data[-12:]:
        return "without its end"
    return None


def without_times(value):
    """A value of JSON without the times in it."""
    if isinstance(value, list):
        return [without_times(item) for item in value if not is_time(item)]
    if not isinstance(value, dict):
        return value
    return {key: without_times(item) for key, item in value.items() if key != "seconds"}


def is_time(value):
    """Whether it is a setting that tells a time; one that is nothing is left out of a report."""
    return isinstance(value, dict) and str(value.get("name", "")).startswith("seconds")


def digest(path):
    """A hash of what a file says: of JSON the values, whatever the layout."""
    data = path.read_bytes()
    if path.suffix == ".json":
        try:
            data = json.dumps(without_times(json.loads(data)), sort_keys=True).encode()
        except ValueError:
            return "damaged"
    elif path.suffix == ".html":
        data = TIMES_IN_PAGE.sub(b"", data)
    return hashlib.sha256(data).hexdigest()


def files(folder):
    """Hashes of the files of a folder by their names, and those of temporary ones apart."""
    found, temporary = {}, []
    for at, _, names in os.walk(folder):
        for name in names:
            path = Path(at, name)
            relative = str(path.relative_to(folder))
            if TEMPORARY in relative:
                temporary.append(relative)
            else:
                found[relative] = digest(path) if path.is_file() and not path.is_symlink() else "special"
    return found, temporary


def ruins(folder):
    """Lines on files that are not whole."""
    lines = []
    for at, _, names in os.walk(folder):
        for name in names:
            path = Path(at, name)
            if TEMPORARY in str(path.relative_to(folder)) or path.is_symlink() or not path.is_file():
                continue
            reason = damage(path)
            if reason:
                lines.append(f"{path.relative_to(folder)}: {reason}")
    return lines


def look(case, folder, *, old=None, new=None, may_miss=(), ignore=lambda name: False):
    """Finds fault with what is left in a folder.

    Every file under its final name is whole, and is that of the run before (`old`) or that of an undisturbed run (`new`); no file of
    the run before is gone. Returns the names of temporary files that are left."""
    for line in ruins(folder):
        if not ignore(line.split(":")[0]):
            case.lost(f"half written: {line}")
    found, temporary = files(folder)
    for name, hashed in found.items():
        if ignore(name):
            continue
        known = [of[name] for of in (old, new) if of and name in of]
        if (old is not None or new is not None) and hashed not in known:
            case.wrong(f"{name} is neither that of the run before nor the right one")
    for name in old or {}:
        if name not in found and name not in may_miss:
            case.lost(f"{name} of the run before is gone")
    return temporary


def mixed(folder, job, *, but):
    """Whether a folder has files that only the run before leaves beside some that only an undisturbed run does, but for those of a
    name."""
    found, _ = files(folder)
    found = {(name, hashed) for name, hashed in found.items() if Path(name).name != but}
    before, after = job.old.items(), job.new.items()
    return bool(found & (before - after) and found & (after - before))


def same(case, folder, new, *, ignore=lambda name: False):
    """Finds fault with a folder that should hold exactly what an undisturbed run leaves."""
    found, _ = files(folder)
    for name in sorted(set(found) | set(new)):
        if ignore(name):
            continue
        if name not in found:
            case.wrong(f"{name} was not written")
        elif name not in new:
            case.wrong(f"{name} is left over")
        elif found[name] != new[name]:
            case.wrong(f"{name} differs from that of an undisturbed run")
