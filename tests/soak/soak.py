"""Does the same work for hours, and looks whether anything changes or grows; `run.sh` says how to call it.

Promises: every round of the jobs has the results of the first, but for the times in them; the largest memory and the most descriptors of
each job are those of the first rounds; no file is left in the folder of temporary files; a process that lives for hours does not
grow.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/faults"))

from whole import files  # noqa: E402

VMFMIX = os.environ["VMFMIX"]
CLIP = ROOT / "datasets/tiny-clip"
SHAPES = ROOT / "datasets/shapes"
# Growth, in shares of the median, that counts.
GROWTH = 0.05
# Lines of the printed curve.
LINES = 20


def measured(words, env):
    """Runs a call; returns its exit code, what it said, its largest memory in MiB, and the most descriptors it had open."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        most = 0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            most = max(most, descriptors(process.pid))
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace"), usage.ru_maxrss / 1024, most


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def resident(pid):
    """Memory of a process in MiB, or None when it has ended."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def jobs(folder):
    """Ten calls, each with the name of what it writes. The sizes differ from job to job; seeds and inputs never change."""
    inputs = folder / "inputs"
    inputs.mkdir()
    for name, rows, dimension, seed in (("small.parquet", 2000, 24, 1), ("large.npy", 40000, 64, 2), ("large.parquet", 20000, 64, 3)):
        make("sample", "-q", "-n", rows, "--dim", dimension, "--random-state", seed, "-o", inputs / name)
    few = inputs / "few.txt"
    few.write_text("".join((SHAPES / "captions.txt").open().readlines()[:150]))
    lines = (SHAPES / "captions.txt").read_text().splitlines()
    many = inputs / "many.txt"
    many.write_text("".join(f"{line} {number}\n" for number in range(6) for line in lines))
    make("fit", "-q", "--embeddings", inputs / "small.parquet", "--n-runs", 1, "--output-dir", inputs / "small")
    make("fit", "-q", "--embeddings", inputs / "large.npy", "--n-runs", 1, "--max-iterations", 5, "--output-dir", inputs / "large")
    clip, images = ["--clip-model", CLIP], ["--image-dir", SHAPES / "images"]
    embed, fit = ["embed", "-q", *clip], ["fit", "-q", "--n-runs", 2]
    small, large = inputs / "small/model_parameters.json", inputs / "large/model_parameters.json"
    disk = ["--memory-share", 0, "--max-iterations", 15]
    return {
        "texts": [*embed, "--text-file", many, "--output", "out.parquet"],
        "pictures": [*embed, *images, "--output", "out.npy"],
        "both": [*embed, *images, "--text-file", few, "--shard-size", 100, "--output", "out.parquet"],
        "fit texts": [*fit, *clip, "--text-file", few, "-k", 6, "--output-dir", "out"],
        "fit pictures": [*fit, *clip, *images, "-k", 12, "--output-dir", "out"],
        "fit vectors": [*fit, "--embeddings", inputs / "small.parquet", "-k", 8, "--output-dir", "out"],
        "fit .npy from disk": [*fit, "--embeddings", inputs / "large.npy", *disk, "--output-dir", "out"],
        "fit .parquet from disk": [*fit, "--embeddings", inputs / "large.parquet", *disk, "--output-dir", "out"],
        "predict": ["predict", "-q", "--model", large, "--embeddings", inputs / "large.npy", "--output", "out.parquet"],
        "report": ["report", "-q", "--model", small, "--embeddings", inputs / "small.parquet", "--output-dir", "out"],
    }


def make(*words):
    subprocess.run([VMFMIX, *map(str, words)], check=True)


def slope(times, values):
    """How much a line through the values rises over their time."""
    if len(values) < 3:
        return 0.0
    t, v = statistics.fmean(times), statistics.fmean(values)
    spread = sum((x - t) ** 2 for x in times)
    rise = sum((x - t) * (y - v) for x, y in zip(times, values))
    return rise / spread * (times[-1] - times[0]) if spread else 0.0


def growth(times, values):
    """Rise over the last two thirds as a share of their median."""
    times, values = times[len(times) // 3 :], values[len(values) // 3 :]
    return slope(times, values) / statistics.median(values) if values and statistics.median(values) else 0.0


class LongLived(threading.Thread):
    """Runs the program of SOAK_PROGRAM, and samples it each second."""

    def __init__(self, program, seconds, began):
        super().__init__()
        self.process = subprocess.Popen([program, str(seconds)])
        self.began, self.seconds = began, seconds
        self.times, self.memory, self.open, self.failures = [], [], [], []

    def run(self):
        # It may end its last piece of work.
        latest = self.began + 1.2 * self.seconds + 120
        while self.process.poll() is None:
            memory = resident(self.process.pid)
            if memory:
                self.times.append(time.monotonic() - self.began)
                self.memory.append(memory)
                self.open.append(descriptors(self.process.pid))
            if time.monotonic() > latest:
                self.process.kill()
                self.failures.append("SOAK_PROGRAM does not end")
            time.sleep(1)
        if self.process.returncode:
            self.failures.append(f"SOAK_PROGRAM ended with status {self.process.returncode}")
        for name, values in (("memory", self.memory), ("descriptors", self.open)):
            rise = growth(self.times, values)
            if rise > GROWTH:
                self.failures.append(f"{name} of SOAK_PROGRAM grows by {rise:.0%} over the last two thirds")

    def at(self, moment):
        """Memory and descriptors at a moment."""
        until = [i for i, passed in enumerate(self.times) if passed <= moment]
        return (self.memory[until[-1]], self.open[until[-1]]) if until else (0, 0)


def disk_use(folder):
    return sum(path.lstat().st_size for path in folder.rglob("*")) / (1 << 20)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3600
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        return soak(folder, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def soak(folder, seconds):
    """Rounds of jobs until the time is over, three at the least."""
    calls = jobs(folder)
    temporary = folder / "temporary"
    temporary.mkdir()
    env = {**os.environ, "TMPDIR": str(temporary)}
    began = time.monotonic()
    program = os.environ.get("SOAK_PROGRAM")
    long_lived = LongLived(program, int(seconds), began) if program else None
    if long_lived:
        long_lived.start()
    first, failures, rows = {}, [], []
    memory, opened = {name: [] for name in calls}, {name: [] for name in calls}
    while len(rows) < 3 or time.monotonic() - began < seconds:
        for name, words in calls.items():
            out = folder / "results"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            words = [str(out / word) if str(word).startswith("out") else str(word) for word in words]
            code, said, peak, most = measured([VMFMIX, *words], env)
            memory[name].append(peak)
            opened[name].append(most)
            found = files(out)[0]
            if code:
                failures.append(f"round {len(rows) + 1}, {name}: exit code {code}: {said.strip()[-200:]}")
            elif first.setdefault(name, found) != found:
                differ = sorted(key for key in {*found, *first[name]} if found.get(key) != first[name].get(key))
                failures.append(f"round {len(rows) + 1}, {name}: not as in the first round: {', '.join(differ)}")
            left = os.listdir(temporary)
            if left:
                failures.append(f"round {len(rows) + 1}, {name}: left in the folder of temporary files: {', '.join(left)[:100]}")
                shutil.rmtree(temporary)
                temporary.mkdir()
        rows.append((time.monotonic() - began, disk_use(folder)))
    if long_lived:
        long_lived.join()
        failures += long_lived.failures
    times = [passed for passed, _ in rows]
    measures = [*((f"memory of {name}", memory[name]) for name in calls), *((f"descriptors of {name}", opened[name]) for name in calls)]
    # The least of three rounds side by side: how threads share the work moves the peak of one round.
    for what, values in [*measures, ("the disk", [use for _, use in rows])]:
        least = [min(values[at : at + 3]) for at in range(len(values) - 2)]
        rise = growth(times[2:], least) if len(values) >= 9 else 0.0
        if rise > GROWTH:
            failures.append(f"{what} grows by {rise:.0%} over the last two thirds of the rounds")
    show(calls, rows, memory, opened, long_lived)
    for line in failures[:50]:
        print(f"  {line}")
    print(f"{len(rows)} rounds in {times[-1]:.0f} s, {len(failures)} failures")
    return 1 if failures else 0


def show(calls, rows, memory, opened, long_lived):
    """Prints the curve: some rounds with the memory of every job, the most descriptors, the disk, and the process that lives long."""
    for number, name in enumerate(calls):
        print(f"job {number}: {name}")
    heads = [f"job {number}" for number in range(len(calls))]
    print("peak memory of each job in MiB, most descriptors of all, disk in MiB" + (", SOAK_PROGRAM's memory and descriptors" if long_lived else ""))
    print(f"{'seconds':>8} {'round':>6} " + " ".join(f"{head:>6}" for head in heads) + f" {'open':>6} {'disk':>6}" + (f" {'memory':>7} {'open':>5}" if long_lived else ""))
    step = max(1, -(-len(rows) // LINES))
    shown = sorted({*range(0, len(rows), step), len(rows) - 1})
    for at in shown:
        passed, disk = rows[at]
        peaks = " ".join(f"{memory[name][at]:>6.0f}" for name in calls)
        most = max(opened[name][at] for name in calls)
        line = f"{passed:>8.0f} {at + 1:>6} {peaks} {most:>6} {disk:>6.0f}"
        if long_lived:
            line += " {:>7.0f} {:>5}".format(*long_lived.at(passed))
        print(line)


if __name__ == "__main__":
    sys.exit(main())
