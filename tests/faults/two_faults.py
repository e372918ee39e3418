"""Two processes that write to one place."""

import signal
import time

from harness import CLIP, finish, fresh, must, run as run_program, start
from whole import files, same

TOLD = "another vmfmix"


def run(tally, data):
    """The second process ends at once with exit code 1, and says that another vmfmix is writing there and what to do; what the first one
    writes is whole and right. A first one that was killed does not lock the place."""
    fit = ["fit", "-q", "-k", 4, "--n-runs", 2, "--tolerance", 0, "--max-iterations", 60, "--embeddings", data.table]
    disk = [*fit, "--memory-share", 0]
    other = ["fit", "-q", "-k", 3, "--n-runs", 1, "--embeddings", data.small]
    report = ["report", "-q", "--model", data.model, "--embeddings", data.small]
    embed = ["embed", "-q", "--clip-model", CLIP, "--text-file", data.texts, "--shard-size", 400]
    images = ["embed", "-q", "--clip-model", CLIP, "--image-dir", data.images, "--shard-size", 40]
    resumed = [*images, "--resume"]
    cached = ["--cache", data.folder / "two-cache.redb"]
    folder = ["--output-dir", data.folder / "two/out"]
    table = ["--output", data.folder / "two/out.parquet"]
    matrix = ["--output", data.folder / "two/out.npy"]
    elsewhere = ["--output", data.folder / "elsewhere.npy"]
    pairs = [
        ("fit and fit", fit + folder, other + folder),
        ("fit and the same fit", fit + folder, fit + folder),
        ("fit from disk and fit", disk + folder, other + folder),
        ("report and fit", report + folder, other + folder),
        ("fit and report", fit + folder, report + folder),
        ("embed and the same embed", embed + table, embed + table),
        ("embed pictures and the same with --resume", images + matrix, resumed + matrix),
        ("embed and other items", embed + table, images + table),
        ("one cache", images + cached + matrix, images + cached + elsewhere),
    ]
    for name, first, second in pairs:
        fresh(data.folder / "two")
        began = must(*first).seconds
        right = files(data.folder / "two")[0]
        for share in (0.4, 0.75):
            fresh(data.folder / "two")
            (data.folder / "two-cache.redb").unlink(missing_ok=True)
            with tally.case(f"{name}, the first one stopped at {share:.0%} of its time") as case:
                overlap(case, data, first, second, began * share, right)
        if name != "one cache":
            fresh(data.folder / "two")
            with tally.case(f"{name}, the first one killed") as case:
                after_a_kill(case, data, first, began * 0.6, right)


def overlap(case, data, first, second, delay, right):
    """The first one is halted while the second one runs, so that they do overlap."""
    process = start(*first)
    time.sleep(delay)
    process.send_signal(signal.SIGSTOP)
    has_ended = process.poll() is not None
    try:
        process.said += f" & sleep {delay:.3f}; kill -STOP $!; "
        outcome = run_program(*second, seconds=60, note="; kill -CONT $!; wait")
        outcome.command = process.said + outcome.command
    finally:
        if not has_ended:
            process.send_signal(signal.SIGCONT)
    case.look_at(outcome)
    one = case.look_at(finish(process))
    if has_ended:
        return
    case.fails(outcome, TOLD)
    if case.succeeds(one):
        same(case, data.folder / "two", right)


def after_a_kill(case, data, first, delay, right):
    process = start(*first)
    time.sleep(delay)
    process.kill()
    case.look_at(finish(process, sent=signal.SIGKILL, note=f" & sleep {delay:.3f}; kill -KILL $!"))
    again = [*first, "--resume"] if first[0] == "embed" else first
    if case.succeeds(case.run(*again)):
        same(case, data.folder / "two", right)
