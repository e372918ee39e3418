"""Clocks that go back."""

import shutil
import subprocess
from pathlib import Path

from harness import ROUNDS, fresh
from whole import same


def run(tally, data):
    """Under clocks that jump back and forth, the results are those of any other run."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        tally.note("left out without a C compiler")
        return
    library = data.folder / "backwards.so"
    source = Path(__file__).with_name("backwards.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    count = data.folder / "readings"
    for most in [3600, 100000000, 2][: 1 + ROUNDS]:
        for job in data.made:
            env = {"LD_PRELOAD": str(library), "BACKWARDS": str(most), "BACKWARDS_COUNT": str(count)}
            folder = fresh(data.folder / "clock")
            count.unlink(missing_ok=True)
            with tally.case(f"{job.name}, clocks go back by up to {most} s") as case:
                if case.succeeds(case.run(*job.call(folder), env=env)):
                    same(case, folder, job.new)
                readings = sum(map(int, count.read_text().split())) if count.exists() else 0
                if not readings:
                    case.wrong("the shim was not asked for the time: nothing was tested")
