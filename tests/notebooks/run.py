"""Runs notebooks from top to bottom in the Rust kernel and looks at what comes out.

    python tests/notebooks/run.py [--save] NOTEBOOK...

A notebook fails on an error, on anything on stderr (a panic, an `Err` that `?` has let through: the kernel calls such cells
"ok"), on an output of another kind than the one that is saved, and if its last cell does not print `NAME: all of it holds`.
`--save` writes the outputs into the notebook instead of comparing their kinds. Prints how long the cells take.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from queue import Empty

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import run_sync

# Seconds that a cell may take: the first one may build the library.
LONGEST = 3600
COLOURS = re.compile("\x1b\\[[0-9;]*m")


def kinds(cell):
    """What kinds of things a cell shows, apart from lines of text, since progress prints as many as there is time for."""
    return [", ".join(sorted(output.data)) for output in cell.outputs if "data" in output]


def text_of(cell, name):
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == name)


def late(client):
    """What the kernel sends on stderr after it has said that a cell is done."""
    outputs = []
    try:
        while True:
            message = run_sync(client.kc.iopub_channel.get_msg)(timeout=0.1)
            if message["msg_type"] == "stream" and message["content"]["name"] == "stderr":
                outputs.append(nbformat.v4.output_from_msg(message))
    except Empty:
        return outputs


def run(path, folder, save):
    """Faults of a notebook, and the seconds that each of its cells takes."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    saved = [kinds(cell) for cell in cells]
    seconds, faults = [], []
    client = NotebookClient(notebook, timeout=LONGEST, kernel_name="rust", resources={"metadata": {"path": folder}})
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            began = time.monotonic()
            try:
                client.execute_cell(cell, index)
            except CellExecutionError:
                told = [COLOURS.sub("", "\n".join(o.traceback)) for o in cell.outputs if o.output_type == "error"]
                faults.append(f"cell {len(seconds) + 1}: " + "\n".join(told)[:4000])
                break
            except (CellTimeoutError, DeadKernelError) as error:
                faults.append(f"cell {len(seconds) + 1}: {error}")
                break
            seconds.append(time.monotonic() - began)
            cell.outputs += late(client)
    for number, (cell, before) in enumerate(zip(cells, saved), 1):
        if stderr := text_of(cell, "stderr"):
            faults.append(f"cell {number} writes to stderr: {stderr.strip()[:2000]}")
        if not save and kinds(cell) != before:
            faults.append(f"cell {number} puts out {kinds(cell)}, saved are {before}")
    if f"{path.stem}: all of it holds" not in text_of(cells[-1], "stdout"):
        faults.append("the last cell does not say that all of it holds")
    if save and not faults:
        for number, cell in enumerate(cells, 1):
            cell.metadata.clear()
            cell.execution_count = number
        nbformat.write(notebook, path)
    return faults, seconds


def planted():
    """Notebooks with a fault each, which must be found."""
    marker = 'println!("planted: all of it holds");'
    cells = {
        "a panic": ['panic!("planted");', marker],
        "a failed assertion": ["assert_eq!(1, 2);", marker],
        "an Err": ['std::fs::read("/no/such/file")?;', marker],
        "no compilation": ["let x: u8 = 300;", marker],
        "no marker": ["1 + 1"],
        "another kind of output": ["1 + 1", marker],
        "nothing": [marker],
    }
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        for fault, sources in cells.items():
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
            kept = nbformat.v4.new_output("display_data", {"text/plain": "2"})
            if fault == "no marker":
                notebook.cells[0].outputs = [kept]
            path = Path(folder) / "planted.ipynb"
            nbformat.write(notebook, path)
            faults, _ = run(path, folder, save=False)
            print(f"  planted {fault}: {faults[0].splitlines()[0] if faults else 'no fault'}", flush=True)
            if bool(faults) == (fault == "nothing"):
                missed.append(fault)
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("notebooks", nargs="+", type=Path)
    arguments = parser.parse_args()
    if missed := planted():
        sys.exit(f"what was planted is not told rightly: {', '.join(missed)}")
    failed, later = [], []
    for path in arguments.notebooks:
        faults, seconds = run(path, path.resolve().parent, arguments.save)
        later += seconds[2:]
        first, median = sum(seconds[:2]), statistics.median(seconds[2:] or [0])
        print(f"{path.stem}: {len(seconds)} cells in {sum(seconds):.1f} s; ready after {first:.1f} s, median {median:.2f} s", flush=True)
        for fault in faults:
            print(f"  {fault}", flush=True)
        if faults:
            failed.append(path.stem)
    print(f"later cells: median {statistics.median(later or [0]):.2f} s, longest {max(later, default=0):.1f} s")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
