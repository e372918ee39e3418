"""Full disks, disks that cannot be written, and output that is a device."""

import os
import shutil
import stat
from pathlib import Path

from harness import CAN_MOUNT, Mount, fresh
from whole import MODEL, files, look, mixed, same

# What is free beside the results of the run before, in KiB.
FREE = [0, 48, 1500, 6000]


def is_shard(name):
    return ".shards/" in name


def run(tally, data):
    """A disk that is full: exit code 1, and an error that names a file and says that there is no space; what was there before is whole."""
    if CAN_MOUNT:
        full_disks(tally, data)
        read_only(tally, data)
        devices(tally, data)
    else:
        tally.note("left out without root: full disks, folders that cannot be written, output that is a device")
    places(tally, data)
    streams(tally, data)


def size_of(folder):
    """Bytes that a folder takes in pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*")) + 4096


def full_disks(tally, data):
    for job in data.made:
        before = data.before(job)
        for free in FREE:
            size = size_of(before) + free * 1024
            with tally.case(f"{job.name} with {free} KiB free") as case, Mount(data.folder / "disk", size) as disk:
                shutil.copytree(before, disk, dirs_exist_ok=True)
                note = f"   # the folder of --output: mount -t tmpfs -o size={size}, with the results of another run"
                outcome = case.run(*job.call(disk), note=note)
                temporary = look(case, disk, old=job.old, new=job.new, ignore=is_shard)
                if temporary:
                    case.wrong(f"temporary files are left: {', '.join(temporary)}")
                if outcome.code == 0:
                    same(case, disk, job.new)
                else:
                    case.fails(outcome, disk, "No space left")
                    if job.is_folder and mixed(disk, job, but=MODEL):
                        case.wrong("files of the run before lie beside new ones")
                if job.resumes and outcome.code:
                    # With space again, it goes on where it stopped.
                    os.system(f"mount -o remount,size=64m '{disk}'")
                    case.succeeds(case.run(*job.call(disk), "--resume"))
                    same(case, disk, job.new)


def read_only(tally, data):
    """A folder that cannot be written: exit code 1 with its name, and nothing in it changes."""
    for job in data.made:
        folder = data.with_old(job, data.folder / "writable")
        with tally.case(f"{job.name} to a read-only mount") as case, Mount(data.folder / "fixed", read_only=folder) as fixed:
            note = "   # the folder of --output: mount --bind, then mount -o remount,bind,ro"
            outcome = case.run(*job.call(fixed), note=note)
            case.fails(outcome, fixed)
            same(case, folder, job.old)


def devices(tally, data):
    """Output that is a device: an error, or what is written goes into it; it stays a device."""
    for kind, number in (("null", 3), ("full", 7)):
        with tally.case(f"predict --output is /dev/{kind}") as case, Mount(data.folder / "devices", "4m") as folder:
            os.mknod(folder / kind, 0o666 | stat.S_IFCHR, os.makedev(1, number))
            note = f"   # its own device: mknod {kind} c 1 {number}"
            outcome = case.run("predict", "-q", "--model", data.model, "--embeddings", data.small, "-o", folder / kind, note=note)
            if not stat.S_ISCHR(os.stat(folder / kind).st_mode):
                case.lost("the device is gone: a plain file has its place")
            elif kind == "full" and outcome.code == 0:
                case.wrong("says that all is well with a full device")
    with tally.case("predict --output is a symbolic link") as case:
        folder = fresh(data.folder / "links")
        (folder / "there").mkdir()
        target, link = folder / "there/target.parquet", folder / "link.parquet"
        target.write_bytes(b"old")
        link.symlink_to(target)
        case.run("predict", "-q", "--model", data.model, "--embeddings", data.small, "-o", link)
        if not link.is_symlink():
            tally.note("a symbolic link at --output is replaced by a file; what it points to keeps the old results")


def places(tally, data):
    """An output path that is something else: exit code 1 with its name."""
    folder = fresh(data.folder / "places")
    (folder / "file").write_text("mine")
    (folder / "folder.parquet").mkdir()
    (folder / "folder.parquet/mine").write_text("mine")
    before, _ = files(folder)
    for job in data.made:
        named = Path(job.output)
        for what, output in (
            ("a folder" if not job.is_folder else "a file", "file" if job.is_folder else "folder.parquet"),
            ("below a file", f"file/{named}"),
        ):
            with tally.case(f"{job.name}, where --output is {what}") as case:
                job_there = type(job)(job.name, job.arguments, output, job.is_folder)
                case.fails(case.run(*job_there.call(folder)), folder)
                same(case, folder, before)


def streams(tally, data):
    """A terminal that is gone or full: no panic."""
    folder = fresh(data.folder / "streams")
    names = ["embed texts to .parquet", "fit", "fit from disk", "predict", "report"]
    for job in map(data.job, names):
        arguments = [word for word in job.call(folder) if word != "-q"]
        for name in ("stdout", "stderr"):
            with tally.case(f"{job.name} with {name} to /dev/full") as case, open("/dev/full", "wb") as full:
                sign = ">" if name == "stdout" else "2>"
                outcome = case.run(*arguments, **{name: full}, note=f" {sign}/dev/full")
                if outcome.code == 101 and not outcome.panic:
                    case.panics("exit code 101, a panic")
                elif outcome.code not in (0, 1, 101):
                    case.wrong(f"exit code {outcome.code}")
                if outcome.code == 0 and name == "stdout":
                    case.wrong("exit code 0, though the output is lost")
                look(case, folder, new=job.new, ignore=is_shard)
            fresh(folder)
