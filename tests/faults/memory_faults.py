"""Little memory."""

import os

from harness import ROUNDS, chance, run as run_program
from whole import files, look, same

MIB = 1 << 20
SIZES = [100, 160, 400, 900]


def smallest():
    """Address space in MiB without which not even the version is told: the program cannot be loaded."""
    for size in range(32, 4096, 16):
        if run_program("--version", memory=size * MIB).code == 0:
            return size
    raise SystemExit("cannot be run with 4 GiB of address space")


def run(tally, data):
    """With little address space there is an error, an end by the allocator, or the right result; nothing is half written."""
    least = smallest()
    dice = chance("memory")
    jobs = [job for job in data.made if job.name != "embed texts to .npy"]
    for job in jobs:
        sizes = [size for size in SIZES if size > least]
        sizes += [dice.randrange(least, 1000) for _ in range(2 * ROUNDS)]
        for size in sizes:
            folder = data.with_old(job, data.folder / "memory")
            with tally.case(f"{job.name} with {size} MiB") as case:
                outcome = case.run(*job.call(folder), memory=size * MIB)
                look(case, folder, old=job.old, new=job.new, ignore=lambda name: ".shards/" in name)
                if outcome.code == 0:
                    same(case, folder, job.new)
                elif job.resumes and os.path.isdir(f"{folder / job.output}.shards"):
                    case.succeeds(case.run(*job.call(folder), "--resume"))
                    same(case, folder, job.new)
            if files(folder)[1]:
                tally.note("an end by the allocator leaves temporary files, as SIGKILL does")
