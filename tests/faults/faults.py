"""Puts faults into the command line and counts what it survives; `run.sh` says how to call it.

The columns: faults injected; those survived; those that cost something that was whole before or left something half written; those that
ended in a panic, or in a signal that was not sent; and those with a wrong result, a wrong exit code, a message that does not tell what is
wrong, or no end. A case that an allocator ends for want of memory is survived, and counted in a line of its own.
"""

import importlib
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from data import Data
from harness import CAN_MOUNT, VMFMIX, Tally

FAMILIES = ["kill", "disk", "memory", "change", "clock", "paths", "files", "two"]
# Failures with the same reasons that are shown.
SHOWN = 2


def main():
    chosen = sys.argv[1:] or FAMILIES
    unknown = [name for name in chosen if name not in FAMILIES]
    if unknown:
        print(f"no such family: {', '.join(unknown)}; there are {', '.join(FAMILIES)}", file=sys.stderr)
        return 2
    given = os.environ.get("FAULTS_FOLDER")
    folder = Path(given) if given else Path(tempfile.mkdtemp(prefix="faults-"))
    folder = folder.resolve()
    if not CAN_MOUNT:
        print("without root and mounts: full disks and folders that cannot be written are left out")
    tallies = []
    try:
        data = Data(folder / "faults")
        for name in chosen:
            began = time.monotonic()
            tally = Tally(name)
            importlib.import_module(f"{name}_faults").run(tally, data)
            tallies.append(tally)
            print(f"{name}: {tally.injected} faults in {time.monotonic() - began:.0f} s", file=sys.stderr)
    finally:
        if not given:
            shutil.rmtree(folder, ignore_errors=True)
    return show(tallies, folder / "faults")


def show(tallies, folder):
    """Prints the table, and a line on each failure with how to repeat it."""
    columns = ["injected", "survived", "lost", "panics", "wrong"]
    print(f"{'fault':<8} {'injected':>9} {'survived':>9} {'data lost':>10} {'panics':>7} {'wrong results':>14}")
    for tally in tallies:
        counts = [getattr(tally, column) for column in columns]
        print("{:<8} {:>9} {:>9} {:>10} {:>7} {:>14}".format(tally.name, *counts))
    for tally in tallies:
        for line in tally.notes:
            print(f"note, {tally.name}: {line}")
        if tally.out_of_memory:
            print(f"note, {tally.name}: {tally.out_of_memory} runs ended out of memory")
    if any(tally.failures for tally in tallies):
        print("failures; $FAULTS is what `FAULTS_FOLDER=folder tests/faults/run.sh FAMILY` leaves in folder/faults:")
    for tally in tallies:
        alike = {}
        for what, reasons, repeat in tally.failures:
            alike.setdefault(re.sub(r"\d+", "#", reasons), []).append((what, reasons, repeat))
        for group in alike.values():
            for what, reasons, repeat in group[:SHOWN]:
                repeat = repeat.replace(str(folder), "$FAULTS").replace(VMFMIX, "vmfmix")
                print(f"  {tally.name}: {what}: {reasons}\n      {repeat}")
            if len(group) > SHOWN:
                print(f"      and {len(group) - SHOWN} more with the same reasons")
    return 1 if any(getattr(tally, column) for tally in tallies for column in columns[2:]) else 0


if __name__ == "__main__":
    sys.exit(main())
