"""Few descriptors and many files."""

import os
import shutil

from harness import CLIP, SHAPES, fresh, must
from whole import files, npy

PARTS = 300
PICTURES = 10_000


def run(tally, data):
    """With 64 descriptors, hundreds of files of embeddings and thousands of pictures give the right result, or an error that names a file
    and says that too many are open."""
    parts(tally, data)
    pictures(tally, data)


def parts(tally, data):
    for kind in ("parquet", "npy"):
        folder = fresh(data.folder / f"parts-{kind}")
        # The rows of a few files, again and again: only the number of files counts.
        for part in range(10):
            must("sample", "-q", "-n", 20, "--dim", 16, "--random-state", part, "-o", folder / f"{part:03}.{kind}")
        for part in range(10, PARTS):
            for end in (f".{kind}", ".metadata.parquet"):
                source = folder / f"{part % 10:03}{end}"
                if source.exists():
                    os.link(source, folder / f"{part:03}{end}")
        # The same dimension as the mixture.
        fit = ["fit", "-q", "-k", 3, "--n-runs", 1, "--embeddings", folder]
        calls = {
            "fit": ([*fit], True),
            "fit from disk": ([*fit, "--memory-share", 0], True),
            "predict": (["predict", "-q", "--model", data.model, "--embeddings", folder], False),
            "report": (["report", "-q", "--model", data.model, "--embeddings", folder], True),
        }
        for name, (call, is_folder) in calls.items():
            out = data.folder / "parts-out"
            flag = ["--output-dir", out] if is_folder else ["-o", out / "out.parquet"]
            fresh(out)
            must(*call, *flag)
            right = files(out)[0]
            with tally.case(f"{name} of {PARTS} .{kind} files with 64 descriptors") as case:
                fresh(out)
                outcome = case.run(*call, *flag, files=64)
                settle(case, outcome, out, right, tally, f"{name} of {PARTS} .{kind} files")


def settle(case, outcome, out, right, tally, what):
    if outcome.code == 0:
        if files(out)[0] != right:
            case.wrong("other results than with many descriptors")
    else:
        case.fails(outcome, "Too many open files")
        if files(out)[0]:
            case.wrong(f"results are left: {', '.join(files(out)[0])[:100]}")
        tally.note(f"{what} cannot be done with 64 descriptors: {outcome.message[-110:]}")


def pictures(tally, data):
    folder = fresh(data.folder / "crowd")
    smallest = min(SHAPES.joinpath("images").iterdir(), key=lambda path: path.stat().st_size)
    shutil.copy(smallest, folder / "00000.png")
    for number in range(1, PICTURES):
        os.link(folder / "00000.png", folder / f"{number:05}.png")
    some = fresh(data.folder / "some")
    for number in range(2000):
        os.link(folder / "00000.png", some / f"{number:05}.png")
    for place, count, limit in ((some, 2000, 64), (folder, PICTURES, 256)):
        out = fresh(data.folder / "crowd-out") / "out.npy"
        with tally.case(f"embed {count} pictures with {limit} descriptors") as case:
            outcome = case.run("embed", "-q", "--clip-model", CLIP, "--image-dir", place, "-o", out, files=limit)
            if outcome.code == 0:
                shape, numbers = npy(out.read_bytes())
                first = numbers[: shape[1]]
                rows = (numbers[at : at + shape[1]] for at in range(0, len(numbers), shape[1]))
                if shape[0] != count or any(row != first for row in rows):
                    case.wrong("rows are missing, or not those of the picture")
            else:
                case.fails(outcome, "Too many open files")
    shutil.rmtree(folder)
    shutil.rmtree(some)
