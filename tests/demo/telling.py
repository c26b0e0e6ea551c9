"""Tells the story of the demo as it happens: stages, commands, their output, outcomes, seconds."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Sequence

from outcome import expect

STAGES = 10
GRACE_S = 10  # for a command that is interrupted


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit status, and what it printed, to both streams."""

    status: int
    output: str


@contextmanager
def _ending(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Leave only when the process has ended; interrupted, it is given time to end well."""
    try:
        with process:
            yield process
    except BaseException:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


class Story:
    """Prints in plain words; `seconds` collects how long each stage took."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = dict(environment)
        self._colour = sys.stdout.isatty()
        self.began = time.monotonic()
        self.seconds: Dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, what: str) -> Iterator[None]:
        """One of the stages: its heading, then whatever happens, then the seconds it took."""
        began = time.monotonic()
        self.heading(f"{len(self.seconds) + 1}/{STAGES} {name}: {what}")
        yield
        self.seconds[name] = time.monotonic() - began
        self.dim(f"  {name} took {self.seconds[name]:.1f} s")

    def heading(self, text: str) -> None:
        print(f"\n{self._paint('1', text)}", flush=True)

    def say(self, text: str) -> None:
        """What is so, or what was decided."""
        for line in text.splitlines():
            print(f"  {line}", flush=True)

    def dim(self, text: str) -> None:
        print(self._paint("2", text), flush=True)

    def run(self, command: Sequence[str]) -> Ended:
        """Run a command in the repository: show it as it would be typed, and its output as it comes."""
        self.dim(f"  $ {shlex.join(command)}")
        with _ending(self._start(command)) as process:
            output = self._show(process)
        return Ended(process.returncode, output)

    def run_together(self, commands: Sequence[Sequence[str]]) -> List[Ended]:
        """Run commands that do not disturb each other at the same time; show them one after the other."""
        with ExitStack() as stack:
            processes = [stack.enter_context(_ending(self._start(command))) for command in commands]
            outputs = []
            for command, process in zip(commands, processes):
                self.dim(f"  $ {shlex.join(command)}")
                outputs.append(self._show(process))
        return [Ended(process.returncode, output) for process, output in zip(processes, outputs)]

    def must(self, command: Sequence[str]) -> str:
        """Run a command that has to succeed; its output."""
        ended = self.run(command)
        expect(ended.status == 0, f"the command above exited with {ended.status}, expected 0")
        return ended.output

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _show(self, process: subprocess.Popen[str]) -> str:
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            print(f"    {line}", end="", flush=True)
            lines.append(line)
        return "".join(lines)

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text
