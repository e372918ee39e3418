"""Signals at random moments."""

import os
import signal
import subprocess
import time

from harness import ROUNDS, chance, finish, fresh, must, start
from whole import MODEL, files, look, mixed, npy, same

SIGNALS = [signal.SIGKILL, signal.SIGINT, signal.SIGTERM]


def is_shard(name):
    return ".shards/" in name


def run(tally, data):
    """Whenever the program is ended, files under their final names are whole, old results are kept or replaced, all together, a polite
    signal leaves no temporary files, `embed --resume` makes the very bytes of an undisturbed run, and so does the same call again."""
    dice = chance("kill")
    temporary_folder = data.folder / "kill-temporary"
    env = {"TMPDIR": str(temporary_folder)}
    for _ in range(ROUNDS):
        for job in data.made:
            for number in SIGNALS:
                folder = data.with_old(job, data.folder / "kill")
                temporary_folder.mkdir(exist_ok=True)
                delay = dice.uniform(0, 1.05 * job.seconds)
                with tally.case(f"{job.name}, {number.name} after {delay:.3f} s") as case:
                    one(case, tally, job, folder, number, delay, env)
                left = os.listdir(temporary_folder)
                if left:
                    tally.note(f"{number.name} leaves in TMPDIR: {', '.join(left)[:100]}")
                    for name in left:
                        path = temporary_folder / name
                        subprocess.run(["rm", "-rf", path], check=True)


    caches(tally, data, dice, data.job("embed pictures to .npy"))


def caches(tally, data, dice, job):
    """A cache whose writer is ended at any moment can be used by the next run, and what it remembers is right."""
    folder = fresh(data.folder / "kill")
    call = [*job.call(folder), "--cache", folder / "cache.redb"]
    must(*job.call(folder))
    _, right = npy((folder / job.output).read_bytes())
    for number in SIGNALS * (2 * ROUNDS):
        fresh(folder)
        delay = dice.uniform(0, 1.05 * job.seconds)
        with tally.case(f"embed pictures with a cache, {number.name} after {delay:.3f} s") as case:
            process = start(*call)
            time.sleep(max(0, process.began + delay - time.monotonic()))
            process.send_signal(number)
            note = f" & sleep {delay:.3f}; kill -{number.name[3:]} $!; wait"
            case.look_at(finish(process, sent=number, note=note))
            for more in (["--resume"], []):
                if case.succeeds(case.run(*call, *more)):
                    _, got = npy((folder / job.output).read_bytes())
                    # Another batch may move the last bits.
                    if len(got) != len(right) or max(abs(a - b) for a, b in zip(got, right)) > 1e-5:
                        case.wrong("other embeddings than without a cache")


def one(case, tally, job, folder, number, delay, env):
    process = start(*job.call(folder), env=env)
    time.sleep(max(0, process.began + delay - time.monotonic()))
    process.send_signal(number)
    note = f" & sleep {delay:.3f}; kill -{number.name[3:]} $!; wait"
    outcome = case.look_at(finish(process, sent=number, note=note))
    if number != signal.SIGKILL and outcome.code not in (0, 130, -number):
        case.wrong(f"exit code {outcome.code} instead of 130: {outcome.message[-120:]}")

    temporary = look(case, folder, old=job.old, new=job.new, ignore=is_shard)
    # Where it fits from disk, the mixture is written before all else.
    early = MODEL if job.name == "fit from disk" else None
    if mixed(folder, job, but=early):
        # The moment in which files take their names; of a matrix and the table beside it, the README says so.
        if number == signal.SIGKILL or not job.is_folder:
            tally.note(f"{job.name} killed while files take their names leaves some of the run before")
        else:
            case.wrong("files of the run before lie beside new ones")
    if number != signal.SIGKILL and temporary:
        case.wrong(f"temporary files are left after {number.name}: {', '.join(temporary)}")
    if outcome.code == 0:
        same(case, folder, job.new, ignore=is_shard)
    if job.resumes:
        case.succeeds(case.run(*job.call(folder), "--resume", env=env))
        same(case, folder, job.new, ignore=lambda name: False)
    again = case.run(*job.call(folder), env=env)
    if case.succeeds(again):
        same(case, folder, job.new)
    _, stale = files(folder)
    if stale:
        tally.note(f"temporary files of a killed run stay for ever, as of {job.name}: {', '.join(stale)[:90]}")


