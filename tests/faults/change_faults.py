"""Inputs that change while they are read."""

import os
import shutil
import time

from data import Job
from harness import CLIP, ROUNDS, SHAPES, chance, finish, fresh, must, run as run_program, start
from whole import files, look


def truncate(path, other, dice):
    os.truncate(path, dice.randrange(path.stat().st_size))


def delete(path, other, dice):
    path.unlink()


def replace(path, other, dice):
    """Another file takes its name, at once."""
    beside = path.with_name("beside")
    shutil.copy(other, beside)
    os.replace(beside, path)


def overwrite(path, other, dice):
    """Another file is copied over it, in place."""
    path.write_bytes(other.read_bytes())


def grow(path, other, dice):
    with path.open("ab") as file:
        file.write(other.read_bytes()[:100_000])


CHANGES = [truncate, delete, replace, overwrite, grow]


def run(tally, data):
    """An input that changes while it is read: an error that names it, or the right result for the old or the new data; never a crash."""
    dice = chance("change")
    for name, arguments, path, other, changes in inputs(data):
        folder = fresh(data.folder / "change")
        place = folder / path.name
        job = Job(name, [place if word == path else word for word in arguments], f"out{kind_of(arguments)}", is_fit(arguments))
        right = []
        for source in (path, other):
            if source.is_dir():
                shutil.copytree(source, place)
            else:
                shutil.copy(source, place)
            outcome = run_program(*job.call(folder / "right"))
            if outcome.code == 0:
                right.append(parts(folder / "right"))
            if source == path:
                seconds = outcome.seconds
            shutil.rmtree(folder / "right", ignore_errors=True)
            fresh(folder)
        for change in changes:
            for _ in range(2 * ROUNDS):
                fresh(folder)
                if path.is_dir():
                    shutil.copytree(path, place)
                else:
                    shutil.copy(path, place)
                # The inputs are read in the first part of it.
                delay = seconds * dice.random() ** 2
                what = f"{name}: {change.__name__} {path.name} after {delay:.3f} s"
                with tally.case(what) as case:
                    one(case, job, folder, place, other, change, delay, right, dice)
    models(tally, data, dice)
    parameters(tally, data, dice)


def one(case, job, folder, place, other, change, delay, right, dice):
    process = start(*job.call(folder / "out"))
    time.sleep(max(0, process.began + delay - time.monotonic()))
    target = place
    if place.is_dir():
        target = dice.choice(sorted(place.iterdir()))
        other = other / target.name
    change(target, other, dice)
    note = f" & sleep {delay:.3f}; {change.__name__} {target.name} in the meantime"
    outcome = case.look_at(finish(process, note=note))
    temporary = look(case, folder / "out", ignore=lambda name: ".shards/" in name) if (folder / "out").exists() else []
    if temporary:
        case.wrong(f"temporary files are left: {temporary}")
    if outcome.code == 0:
        # Of pictures only some change: the table is looked at for being whole, not for its values.
        if not place.is_dir() and parts(folder / "out") not in right:
            case.wrong("exit code 0, but the result is neither that of the old data nor that of the new")
    else:
        case.fails(outcome, place)


def parts(folder):
    """Hashes of the files that hold results, without pages and pictures."""
    return {name: hashed for name, hashed in files(folder)[0].items() if name.endswith((".json", ".parquet", ".npy"))}


def is_fit(arguments):
    return arguments[0] in ("fit", "report")


def kind_of(arguments):
    return "" if is_fit(arguments) else ".parquet"


def inputs(data):
    """Calls with the input that is changed, and what it becomes."""
    fit = ["fit", "-q", "-k", 4, "--n-runs", 2, "--tolerance", 0, "--max-iterations", 300, "--memory-share", 0]
    predict = ["predict", "-q", "--model", data.large_model]
    many = data.vectors("many.npy", 8000, 48)
    table, changed = data.vectors("table.parquet", 3000, 48), data.vectors("changed.parquet", 2500, 48, seed=3)
    # As long as the old ones, so that only the values tell.
    matrix = data.vectors("changed.npy", 8000, 48, seed=3)
    matrix = bare(matrix, data.inputs / "bare-changed.npy")
    many = bare(many, data.inputs / "bare.npy")
    long, long_other = data.vectors("long.parquet", 60000, 48), data.vectors("long-other.parquet", 60000, 48, seed=3)
    captions = data.inputs / "captions.txt"
    captions.write_bytes(data.texts.read_bytes()[::-1].replace(b"\xff", b""))
    pictures = data.inputs / "changed-pictures"
    if not pictures.exists():
        shutil.copytree(data.few_images, pictures)
        names = sorted(pictures.iterdir())
        for one_name, other in zip(names, reversed(sorted(data.few_images.iterdir()))):
            shutil.copy(other, one_name)
    embed = ["embed", "-q", "--clip-model", CLIP]
    # Another table, without the column: it cannot be embedded.
    rows = SHAPES / "shapes.parquet"
    column = ["--column", "caption", "--shard-size", 16]
    return [
        ("fit from disk, .npy", [*fit, "--embeddings", many], many, matrix, CHANGES),
        ("fit from disk, .parquet", [*fit, "--embeddings", table], table, changed, CHANGES),
        ("predict, .npy", [*predict, "--embeddings", data.large], data.large, many, CHANGES),
        ("predict, .parquet", [*predict, "--embeddings", long], long, long_other, CHANGES),
        ("embed texts", [*embed, "--text-file", data.texts], data.texts, captions, CHANGES),
        ("embed a table", [*embed, "--input", rows, *column], rows, table, CHANGES),
        ("embed pictures", [*embed, "--image-dir", data.few_images], data.few_images, pictures, CHANGES),
    ]


def bare(path, to):
    """The same matrix without the table beside it."""
    shutil.copy(path, to)
    return to


def models(tally, data, dice):
    """A checkpoint that is cut short or replaced while it is loaded."""
    folder = fresh(data.folder / "model-change")
    arguments = ["embed", "-q", "--text-file", data.few_texts, "--clip-model", folder / "clip", "--output"]
    shutil.copytree(CLIP, folder / "clip")
    seconds = must(*arguments, folder / "right.npy").seconds
    right = (folder / "right.npy").read_bytes()
    weights = folder / "clip/model.safetensors"
    for change in (truncate, delete, replace):
        for _ in range(8 * ROUNDS):
            shutil.copy(CLIP / "model.safetensors", weights)
            (folder / "out.npy").unlink(missing_ok=True)
            shutil.rmtree(folder / "out.npy.shards", ignore_errors=True)
            delay = dice.uniform(0, seconds)
            with tally.case(f"load a model: {change.__name__} model.safetensors after {delay:.4f} s") as case:
                process = start(*arguments, folder / "out.npy")
                while time.monotonic() < process.began + delay:
                    pass
                change(weights, CLIP / "model.safetensors", dice)
                note = f" & sleep {delay:.4f}; {change.__name__} model.safetensors in the meantime"
                outcome = case.look_at(finish(process, note=note))
                if outcome.code == 0:
                    if (folder / "out.npy").read_bytes() != right:
                        case.wrong("exit code 0 with other embeddings")
                else:
                    case.fails(outcome, folder / "clip")


def parameters(tally, data, dice):
    """A saved mixture that is cut short, at any place: an error that names it."""
    folder = fresh(data.folder / "parameters")
    whole = data.model.read_bytes()
    place = folder / "model_parameters.json"
    lengths = [0, 1, len(whole) // 2, len(whole) - 2] + [dice.randrange(len(whole)) for _ in range(4 * ROUNDS)]
    for length in lengths:
        place.write_bytes(whole[:length])
        with tally.case(f"model_parameters.json of {length} bytes") as case:
            command = ["predict", "-q", "--model", place, "--embeddings", data.small, "-o", folder / "out.parquet"]
            case.fails(case.run(*command), place)
            if (folder / "out.parquet").exists():
                case.wrong("there is a result")
