"""Runs the program, looks at how it ended, and counts.

The promise of every case: exit code 0 with the right result, or another one with a message on stderr; no panic, no death by a signal
that was not sent; and nothing that was whole before is lost or half written.
"""

import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "datasets/tiny-clip"
SHAPES = ROOT / "datasets/shapes"
VMFMIX = os.environ.get("VMFMIX", "vmfmix")
ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
CAN_MOUNT = os.environ.get("FAULTS_CAN_MOUNT") == "1"
# A case that takes longer hangs.
LONGEST = 120

PANIC = re.compile(rb"panicked|RUST_BACKTRACE|stack backtrace")
NO_MEMORY = re.compile(rb"memory allocation of \d+ bytes failed")


@dataclass
class Outcome:
    """How a run of the program ended."""

    command: str
    code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    sent: int | None = None
    # Its messages went elsewhere.
    is_mute: bool = False

    @property
    def message(self):
        return self.stderr.decode(errors="replace").strip()

    @property
    def is_out_of_memory(self):
        return self.code == -signal.SIGABRT and NO_MEMORY.search(self.stderr) is not None

    @property
    def panic(self):
        """What is wrong with how it ended, or None."""
        if self.is_out_of_memory:
            return None
        if PANIC.search(self.stderr):
            at = PANIC.search(self.stderr).start()
            return "panic: " + self.stderr[at:].decode(errors="replace").replace("\n", " ")[:160]
        if self.code < 0 and not self.timed_out and self.code != -(self.sent or 0):
            return f"died of {signal.Signals(-self.code).name}: {self.message[-160:]!r}"
        return None


@dataclass
class Tally:
    """The counts of one family of faults."""

    name: str
    injected: int = 0
    survived: int = 0
    lost: int = 0
    panics: int = 0
    wrong: int = 0
    out_of_memory: int = 0
    failures: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def case(self, what):
        return Case(self, what)

    def note(self, line):
        if line not in self.notes:
            self.notes.append(line)


class Case:
    """One fault that is injected: `with tally.case("...") as case`. It is survived unless something is found."""

    def __init__(self, tally, what):
        self.tally, self.what, self.commands, self.found = tally, what, [], []

    def __enter__(self):
        self.tally.injected += 1
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and issubclass(kind, Exception):
            self.wrong(f"the check itself failed: {kind.__name__}: {error}")
        for column in {column for column, _ in self.found}:
            setattr(self.tally, column, getattr(self.tally, column) + 1)
        if self.found:
            reasons = "; ".join(dict.fromkeys(reason for _, reason in self.found))
            repeat = "; ".join(dict.fromkeys(self.commands))
            self.tally.failures.append((self.what, reasons, repeat))
        else:
            self.tally.survived += 1
        return kind is None or issubclass(kind, Exception)

    def panics(self, reason):
        self.found.append(("panics", reason))

    def lost(self, reason):
        self.found.append(("lost", reason))

    def wrong(self, reason):
        self.found.append(("wrong", reason))

    def run(self, *arguments, **options):
        """Runs the program to its end, and looks for a panic, a hang, and silence after a failure."""
        outcome = run(*arguments, **options)
        return self.look_at(outcome)

    def look_at(self, outcome):
        self.commands.append(outcome.command)
        if outcome.panic:
            self.panics(outcome.panic)
        if outcome.is_out_of_memory:
            self.tally.out_of_memory += 1
        if outcome.timed_out:
            self.wrong("does not end")
        if outcome.code > 0 and not outcome.stderr.strip() and not outcome.sent and not outcome.is_mute:
            self.wrong(f"exit code {outcome.code} without a message")
        return outcome

    def succeeds(self, outcome):
        """Finds fault with a run that should have done its work."""
        if outcome.code != 0 and not outcome.panic:
            self.wrong(f"failed: {outcome.message[-200:]}")
        return outcome.code == 0

    def fails(self, outcome, *words):
        """Finds fault with a run that should have said what is wrong, in these words."""
        if outcome.panic or outcome.timed_out or outcome.is_out_of_memory:
            return
        if outcome.code != 1:
            self.wrong(f"exit code {outcome.code} instead of 1")
        for word in words:
            if str(word) not in outcome.message:
                self.wrong(f"the message lacks {str(word)!r}: {outcome.message[-200:]}")


def command_of(arguments, before="", after=""):
    words = [shlex.quote(os.fsdecode(raw(word))) for word in [VMFMIX, *arguments]]
    words = [word if len(word) < 300 else word[:140] + "..." + word[-140:] for word in words]
    return f"{before}{' '.join(words)}{after}"


def raw(argument):
    return os.fsencode(argument if isinstance(argument, (bytes, os.PathLike)) else str(argument))


def start(*arguments, cwd=None, env=None, memory=None, files=None, stdout=None, stderr=None):
    """Starts the program. `memory` bounds its address space in bytes, `files` its descriptors."""

    def limit():
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    whole = {name: value for name, value in os.environ.items() if name not in ("RUST_BACKTRACE", "RUST_LIB_BACKTRACE")}
    whole.update(env or {})
    arguments = [raw(argument) for argument in arguments]
    process = subprocess.Popen(
        [VMFMIX, *arguments],
        cwd=cwd,
        env=whole,
        stdin=subprocess.DEVNULL,
        stdout=stdout or subprocess.PIPE,
        stderr=stderr or subprocess.PIPE,
        preexec_fn=limit,
    )
    process.began, process.is_mute = time.monotonic(), stderr is not None
    process.said = command_of(
        arguments,
        before=(f"cd {shlex.quote(str(cwd))[-120:]} && " if cwd else "")
        + (f"ulimit -v {memory // 1024}; " if memory else "")
        + (f"ulimit -n {files}; " if files else "")
        + "".join(f"{name}={shlex.quote(value)} " for name, value in (env or {}).items()),
    )
    return process


def finish(process, sent=None, seconds=LONGEST, note=""):
    """Waits for the program; one that takes too long is killed."""
    timed_out = False
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        timed_out = True
        process.kill()
        stdout, stderr = process.communicate()
    passed = time.monotonic() - process.began
    return Outcome(process.said + note, process.returncode, stdout or b"", stderr or b"", passed, timed_out, sent, process.is_mute)


def run(*arguments, seconds=LONGEST, note="", **options):
    return finish(start(*arguments, **options), seconds=seconds, note=note)


def must(*arguments, **options):
    """A run without a fault, which the cases are compared with."""
    outcome = run(*arguments, **options)
    if outcome.code != 0:
        raise SystemExit(f"without any fault: {outcome.command}: {outcome.code}: {outcome.message[-400:]}")
    return outcome


def fresh(folder):
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def chance(name):
    """Random numbers of a family, the same for a seed whatever other families run."""
    return random.Random(f"{SEED} {name}")


def mounts(command):
    """Runs `mount` or `umount`."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Mount:
    """A small file system in memory, or a folder seen through a mount that cannot be written."""

    def __init__(self, folder, size=None, read_only=None):
        self.folder, self.size, self.read_only = folder, size, read_only

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.read_only:
            mounts(["mount", "--bind", self.read_only, self.folder])
            mounts(["mount", "-o", "remount,bind,ro", self.folder])
        else:
            mounts(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.folder])
        return self.folder

    def __exit__(self, *_):
        mounts(["umount", self.folder])
        self.folder.rmdir()
