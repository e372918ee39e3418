"""Odd names and odd files."""

import os
import shutil
import socket

from harness import CLIP, SHAPES, fresh
from whole import damage, files, npy, ruins

GUARD = 4 << 30
# What the program may take over a folder of a few pictures.
SOON = 30

NAMES = {
    "a newline": b"two\nlines",
    "leading dashes": b"--output",
    "quotes": b"it's \"quoted\" `so` $(date)",
    "emoji": "\U0001f980\U0001f4a5".encode(),
    "bytes that are no UTF-8": b"caf\xe9\xff",
    "a space and a backslash": b" a\\b ",
    "brackets of a pattern": b"[a-z]*?",
    "a percent sign and a hash": b"100%#x",
}


def run(tally, data):
    """Whatever names and kinds files have: the right result, or an error that tells; no panic, no hang, nothing half written."""
    names(tally, data)
    long_names(tally, data)
    pictures(tally, data)


def join(folder, name):
    return os.path.join(os.fsencode(folder), name)


def names(tally, data):
    """Files and folders with odd names, at every place where one can be given."""
    for what, name in NAMES.items():
        folder = fresh(data.folder / "odd")
        at = join(folder, b"x")
        os.mkdir(at)
        text, model, table = (os.path.join(at, name + end) for end in (b".txt", b".json", b".parquet"))
        shutil.copy(data.few_texts, text)
        shutil.copy(data.model, model)
        shutil.copy(data.small, table)
        images = os.path.join(at, name)
        os.mkdir(images)
        for picture in sorted(SHAPES.joinpath("images").iterdir())[:6]:
            shutil.copy(picture, os.path.join(images, name + picture.name.encode()))
        out = folder / "out"
        clip = ["--clip-model", CLIP]
        calls = {
            "--text-file": ["embed", "-q", *clip, "--text-file", text, "-o", out / "texts.parquet"],
            "--image-dir": ["embed", "-q", *clip, "--image-dir", images, "-o", out / "images.npy"],
            "--output": ["embed", "-q", *clip, "--text-file", data.few_texts, "-o", table + b".npy"],
            "--embeddings": ["predict", "-q", "--model", data.model, "--embeddings", table, "-o", out / "assigned.parquet"],
            "--model": ["predict", "-q", "--model", model, "--embeddings", data.small, "-o", out / "assigned.parquet"],
            "--output-dir": ["report", "-q", "--model", data.model, "--embeddings", data.small, "--output-dir", images + b"-new"],
            "--image-dir of fit": ["fit", "-q", "-k", 2, *clip, "--image-dir", images, "--output-dir", out / "fit"],
        }
        for flag, call in calls.items():
            with tally.case(f"{what} in {flag}") as case:
                outcome = case.run(*call, seconds=SOON)
                for line in ruins(folder):
                    case.lost(f"half written: {line}")
                if outcome.code == 0:
                    all_there(case, flag, out, images, table, what)
                elif what != "bytes that are no UTF-8":
                    case.succeeds(outcome)
            # The same from the folder that they are in, by the bare name.
            if flag in ("--text-file", "--embeddings", "--model"):
                with tally.case(f"{what} in {flag}, relative") as case:
                    # As `--flag=name`, so that a name may begin with a dash.
                    given = call.index(flag)
                    value = os.fsencode(flag) + b"=" + os.path.basename(call[given + 1])
                    bare = [*call[:given], value, *call[given + 2 :]]
                    outcome = case.run(*bare, cwd=os.fsdecode(at), seconds=SOON)
                    if what != "bytes that are no UTF-8":
                        case.succeeds(outcome)


def all_there(case, flag, out, images, table, what):
    """Finds fault with results that are not all there. Pictures whose names are not UTF-8 may be skipped."""
    if flag == "--image-dir":
        shape, numbers = npy((out / "images.npy").read_bytes())
        is_skipped = what != "bytes that are no UTF-8" and any(number != number for number in numbers)
        if shape[0] != 6 or is_skipped:
            case.wrong(f"{shape[0]} rows, or rows without an embedding, for 6 good pictures")
    elif flag == "--output":
        shape, _ = npy(open(table + b".npy", "rb").read())
        if shape[0] != 100:
            case.wrong(f"{shape[0]} rows for 100 texts")
    elif flag == "--output-dir" and not os.path.exists(os.path.join(images + b"-new", b"report.html")):
        case.wrong("no report.html")


def deep(folder, length):
    """Makes folders in folders until their path has so many characters, and goes into the last; returns the path."""
    here = os.getcwd()
    path = str(folder)
    os.chdir(folder)
    while len(path) < length:
        name = "d" * min(200, max(1, length - len(path) - 1))
        os.mkdir(name)
        os.chdir(name)
        path = f"{path}/{name}"
    inside = os.open(".", os.O_RDONLY)
    os.chdir(here)
    return path, inside


def long_names(tally, data):
    """Paths as long as the system allows, and longer; names of 255 bytes."""
    report = ["report", "-q", "--model", data.model, "--embeddings", data.small, "--output-dir"]
    embed = ["embed", "-q", "--clip-model", CLIP, "--text-file", data.few_texts, "-o"]
    base = str(data.folder / "long")
    for length in (1000, 3900, 4030, 4070, 4085, 4095, 4096, 5000):
        fresh(data.folder / "long")
        path = base
        while len(path) < length:
            path += "/" + "d" * min(200, max(1, length - len(path) - 1))
        for name, call in (("report", [*report, path]), ("embed", [*embed, path[: length - 4] + ".npy"])):
            with tally.case(f"{name} to a path of {length} characters") as case:
                outcome = case.run(*call, seconds=SOON)
                if outcome.code == 0:
                    missing = name == "report" and not os.path.exists(f"{path}/report.html")
                    if missing:
                        case.wrong("exit code 0 without report.html")
                else:
                    case.fails(outcome, "too long")
    fresh(data.folder / "long")
    path, inside = deep(data.folder / "long", 5000)
    for name, call in (("report", [*report, "out"]), ("embed", [*embed, "out.npy"])):
        with tally.case(f"{name} with a relative path in a folder of {len(path)} characters") as case:
            outcome = inside_of(case, inside, call)
            if outcome.code:
                case.fails(outcome, "too long")
                tally.note("where the path of the working folder is too long, relative names cannot be written either")
    os.close(inside)
    with tally.case("pictures in a folder of 5,000 characters below --image-dir") as case:
        here = os.open(".", os.O_RDONLY)
        path, inside = deep(fresh(data.folder / "long"), 5000)
        os.fchdir(inside)
        shutil.copy(SHAPES / "images/0000.png", "deep.png")
        os.fchdir(here)
        os.close(here)
        os.close(inside)
        shutil.copy(SHAPES / "images/0001.png", data.folder / "long/near.png")
        out = data.folder / "long/out.npy"
        outcome = case.run("embed", "-q", "--clip-model", CLIP, "--image-dir", data.folder / "long", "-o", out, seconds=SOON)
        if outcome.code == 0 and damage(out):
            case.wrong(damage(out))
    fresh(data.folder / "long")
    for length in (240, 248, 255):
        name = "n" * (length - 4) + ".npy"
        with tally.case(f"embed to a name of {length} bytes") as case:
            outcome = case.run(*embed, data.folder / "long" / name, seconds=SOON)
            if outcome.code:
                case.fails(outcome, "too long")
            elif damage(data.folder / "long" / name):
                case.wrong("damaged")
        table = data.folder / "long" / ("n" * (length - 8) + ".parquet")
        with tally.case(f"predict to a name of {length} bytes") as case:
            call = ["predict", "-q", "--model", data.model, "--embeddings", data.small, "-o", table]
            if case.succeeds(case.run(*call, seconds=SOON)) and damage(table):
                case.wrong("damaged")
    with tally.case("report to a folder whose name has 255 bytes") as case:
        case.succeeds(case.run(*report, data.folder / "long" / ("f" * 255), seconds=SOON))
    fresh(data.folder / "long")
    with tally.case("pictures whose names have 255 bytes") as case:
        for number in range(3):
            shutil.copy(SHAPES / "images/0000.png", data.folder / "long" / (f"{number}" * 251 + ".png"))
        good(case, data, data.folder / "long", 3)


def inside_of(case, inside, call):
    """Runs the program in a folder that no absolute path reaches."""
    here = os.open(".", os.O_RDONLY)
    os.fchdir(inside)
    try:
        return case.run(*call, seconds=SOON)
    finally:
        os.fchdir(here)
        os.close(here)


def good(case, data, folder, count):
    """Embeds a folder, in which there are so many good pictures; all else is skipped."""
    out = fresh(data.folder / "odd-out") / "out.npy"
    call = ["embed", "--clip-model", CLIP, "--image-dir", folder, "-o", out]
    outcome = case.run(*call, seconds=SOON, memory=GUARD)
    if outcome.is_out_of_memory:
        case.wrong("takes all memory")
    if case.succeeds(outcome):
        shape, numbers = npy(out.read_bytes())
        width = shape[1]
        whole = sum(numbers[row * width] == numbers[row * width] for row in range(shape[0]))
        if whole != count:
            case.wrong(f"{whole} of {shape[0]} pictures embedded instead of {count}")


def pictures(tally, data):
    """Among pictures lie things that are none: they are skipped, and nothing is waited for."""

    def loop(folder):
        (folder / "again").symlink_to(folder)

    def broken(folder):
        (folder / "broken.png").symlink_to("nowhere.png")

    def mutual(folder):
        (folder / "a.png").symlink_to("b.png")
        (folder / "b.png").symlink_to("a.png")

    def mutual_folders(folder):
        (folder / "a").symlink_to("b")
        (folder / "b").symlink_to("a")

    def fifo(folder):
        os.mkfifo(folder / "pipe.png")

    def bound(folder):
        here = os.getcwd()
        os.chdir(folder)
        socket.socket(socket.AF_UNIX).bind("socket.png")
        os.chdir(here)

    def zero(folder):
        (folder / "zero.png").symlink_to("/dev/zero")

    def random(folder):
        (folder / "random.jpg").symlink_to("/dev/urandom")

    def directory(folder):
        (folder / "folder.png").mkdir()

    def empty(folder):
        (folder / "empty.png").touch()

    def sparse(folder):
        with (folder / "large.png").open("wb") as file:
            file.truncate(100 << 30)

    odd = [loop, broken, mutual, mutual_folders, fifo, bound, zero, random, directory, empty, sparse]
    for make in odd:
        with tally.case(f"among pictures: {make.__name__}") as case:
            folder = fresh(data.folder / "odd-pictures")
            for picture in sorted(SHAPES.joinpath("images").iterdir())[:5]:
                shutil.copy(picture, folder)
            make(folder)
            good(case, data, folder, 5)
    for call in ("embed", "fit"):
        with tally.case(f"{call} of an empty folder") as case:
            folder, out = fresh(data.folder / "odd-pictures"), fresh(data.folder / "odd-out")
            flag = ["-o", out / "out.npy"] if call == "embed" else ["--output-dir", out]
            outcome = case.run(call, "-q", "--clip-model", CLIP, "--image-dir", folder, *flag, seconds=SOON)
            case.fails(outcome, folder)
            if files(out)[0]:
                case.wrong("there are results")
    with tally.case("predict of an empty folder of embeddings") as case:
        call = ["predict", "-q", "--model", data.model, "--embeddings", folder, "-o", out / "out.parquet"]
        case.fails(case.run(*call, seconds=SOON), folder)
