"""Run the converting process: what crashes or hangs in it is a rejected candidate, not a lost device."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Callable, Optional

from edgeai_runtime.convert.burden import Burden
from edgeai_runtime.errors import ConvertError, StorageError
from edgeai_runtime.monitor.memory import free_mb, resident_mb

TIME_LIMIT_S = 1800.0
MEMORY_SHARE = 0.9  # of what is free when it begins
LONGEST_PAUSE_S = 30.0  # for the sake of requests; then it goes on for as long at least
_PERIOD_S = 0.2
_LOOK_S = 5.0  # between two looks at what the device bears


class Ended(ConvertError):
    """The process ended in the middle of its work; `how`, and what it was `doing`."""

    def __init__(self, doing: str, how: str) -> None:
        super().__init__(
            f"the conversion ended while {doing}: {how}; choose another recipe for this device class."
        )
        self.doing, self.how = doing, how


def within(seconds: float) -> Callable[[], float]:
    """How many seconds are left, of so many from now on."""
    give_up = time.monotonic() + seconds
    return lambda: give_up - time.monotonic()


def run_child(
    job: bytes,
    work: str,
    progress: Callable[[str], None],
    say: Callable[[str, Any], None],
    left_s: Callable[[], float],
    burden: Optional[Burden] = None,
) -> None:
    """Convert and measure in a process of its own, which is paused while the `burden` is too much, and killed
    as soon as no seconds are `left_s`, which is asked again and again.

    The child answers JSON lines: {"progress": sentence}, {"error": sentence, "kind": word}, and others, which
    `say` is told word by word. Raises ConvertError or StorageError with the child's sentence, Ended with the
    signal or status it ended with.
    """
    # Its temporary files too lie where there was seen to be room; /tmp may be in memory.
    environment = dict(os.environ, ORT_DISABLE_TELEMETRY="1", TMPDIR=work)
    doing = "starting"
    command = [sys.executable, "-m", "edgeai_runtime.convert"]
    with tempfile.TemporaryFile(dir=work) as request, tempfile.TemporaryFile(dir=work) as complaints:
        request.write(job)
        request.seek(0)
        child = subprocess.Popen(
            command,
            stdin=request,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
            cwd=work,
            start_new_session=True,  # what it begins, such as trtexec, is paused and ends with it
        )
        watch = _Watch(child, left_s, burden, progress)
        watch.start()
        try:
            assert child.stdout is not None
            for line in child.stdout:
                said = json.loads(line)
                if "error" in said:
                    kind = StorageError if said["kind"] == StorageError.kind else ConvertError
                    raise kind(said["error"])
                for word, content in said.items():
                    if word == "progress":
                        doing = content
                        progress(doing)
                    else:
                        say(word, content)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # until then its number is nobody else's
        finally:
            watch.stop()
            _signal(child, signal.SIGKILL)
            status = child.wait()
            child.stdout.close()  # type: ignore[union-attr]
        if status != 0:
            complaints.seek(0)
            raise Ended(doing, _ending(status, watch.why, complaints.read()))


class _Watch(threading.Thread):
    """Kills a process that takes too long, or so much memory that the device would kill whom it likes; has it
    wait while the device bears too much."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        left_s: Callable[[], float],
        burden: Optional[Burden],
        progress: Callable[[str], None],
    ) -> None:
        super().__init__(daemon=True)
        self._child, self._left_s = child, left_s
        self._burden, self._progress = burden, progress
        free = free_mb()
        self._memory_mb = math.inf if free is None else MEMORY_SHARE * free
        self._over = threading.Event()
        self._paused = False
        self._since = self._looked = time.monotonic()  # when it was stopped, or went on
        self.why = ""

    def run(self) -> None:
        begun = time.monotonic()
        while not self._over.wait(_PERIOD_S):
            if self._left_s() <= 0:
                self.why = f"it took longer than {time.monotonic() - begun:.0f} s"
            elif resident_mb(process=str(self._child.pid)) > self._memory_mb:
                self.why = f"it took more than {self._memory_mb:.0f} MiB, {MEMORY_SHARE:.0%} of what was free"
            if self.why:
                _signal(self._child, signal.SIGKILL)
                return
            self._consider()

    def _consider(self) -> None:
        """Pause, or go on."""
        now = time.monotonic()
        # A look may take seconds, in which nobody would end it in time.
        if self._burden is None or now - self._looked < _LOOK_S or self._left_s() < _LOOK_S:
            return
        self._looked, long = now, now - self._since >= LONGEST_PAUSE_S
        why = self._burden.too_much()
        hot = bool(why) and self._burden.hot
        if self._paused and (not why or (long and not hot)):
            self._turn(signal.SIGCONT, "going on")
        elif not self._paused and why and (hot or long):
            self._turn(signal.SIGSTOP, f"pausing, since {why}")

    def _turn(self, how: signal.Signals, sentence: str) -> None:
        self._paused, self._since = how == signal.SIGSTOP, time.monotonic()
        _signal(self._child, how)
        self._progress(sentence)

    def stop(self) -> None:
        self._over.set()
        self.join()


def _signal(child: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """To it and all that it began, also where that outlived it."""
    os.killpg(child.pid, how)


def _ending(status: int, killed_for: str, complaints: bytes) -> str:
    if killed_for:
        return killed_for
    if status < 0:
        killed = " (out of memory?)" if -status == signal.SIGKILL else ""
        return f"its process died of {signal.Signals(-status).name}{killed}"
    lines = complaints.decode(errors="replace").strip().splitlines()
    return (
        f"its process failed with {lines[-1][:300]}" if lines else f"its process ended with status {status}"
    )
