"""Watches machine and service from within the serving process, every few seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Optional, Tuple

from edgeai_runtime.monitor.alarm_book import AlarmBook, sentences
from edgeai_runtime.monitor.alarms import Alarms
from edgeai_runtime.monitor.condition import condition
from edgeai_runtime.monitor.pressure import Pressure
from edgeai_runtime.monitor.readings import Machine, Readings
from edgeai_runtime.monitor.rules import DEFAULTS, Rules
from edgeai_runtime.monitor.sampler import WINDOW_S, Sampler, Snapshot
from edgeai_runtime.paths import Paths

PERIOD_S = 5.0
REPORT_PATH = "/v2/health"  # where Watch.report() is asked for over HTTP
LEAST_REQUESTS = 10  # in a minute, before their errors are a share of anything

_log = logging.getLogger("edgeai.monitor")


class Watch:
    """Belongs to the event loop. Files are read and written in a thread: a disk may take seconds."""

    def __init__(
        self,
        sampler: Sampler,
        directory: Path,
        rules: Optional[Rules] = None,
        alarms_file: Optional[Path] = None,
        root: Path = Path("/"),
    ) -> None:
        """`directory` lies on the disk that matters; `alarms_file`: None keeps alarms in memory; `root` is
        where /proc and /sys are found."""
        self.readings: Readings = {}
        self.power_mode: Optional[str] = None
        self._sampler = sampler
        self._directory, self._rules, self._root = directory, rules or DEFAULTS, root
        self._machine: Optional[Machine] = None
        self._book = AlarmBook(alarms_file)
        self._alarms = Alarms(self._rules, self._book)
        self._pressure = Pressure()
        self._told: Dict[str, str] = {}
        self._past: Deque[Tuple[float, int, int]] = deque(maxlen=round(WINDOW_S / PERIOD_S) + 1)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watch")

    @property
    def pressure(self) -> float:
        """What batch and concurrency limits are multiplied with: 1.0, less on a machine that is too hot."""
        return self.readings.get("pressure") or 1.0

    def tell(self, name: str, sentence: Optional[str]) -> None:
        """Have an alarm stand that the code knows of, such as an engine that fell back; None ends it."""
        if sentence is None:
            self._told.pop(name, None)
        else:
            self._told[name] = sentence

    async def run(self, looked: Callable[[float], None]) -> None:
        """Look every PERIOD_S seconds until cancelled; `looked` is told the pressure each time."""
        loop = asyncio.get_running_loop()
        while True:
            snapshot, told = self._sampler.snapshot(), dict(self._told)
            try:
                await loop.run_in_executor(self._thread, self.look, snapshot, told)
                looked(self.pressure)
            except Exception:  # noqa: BLE001 - what is watched must not suffer from who watches
                _log.exception("the monitor met a mistake of its own")
            await asyncio.sleep(PERIOD_S)

    def look(self, snapshot: Snapshot, told: Dict[str, str]) -> None:
        """Take all readings once and judge them. Blocks for milliseconds, for a write where alarms change."""
        if self._machine is None:  # not before: a GPU's driver may take a second to answer first
            self._machine = Machine(self._directory, self._root)
        readings: Readings = {**self._machine.take(), **self._service(snapshot)}
        margin, throttled = readings["temperature_margin_c"], readings["throttled"]
        readings["pressure"] = self._pressure.update(margin, bool(throttled))
        self.readings, self.power_mode = readings, self._machine.power_mode()
        self._alarms.evaluate(readings, told)

    def report(self) -> Dict[str, Any]:
        """How the service does, for whoever asks over HTTP: totals since its start, averages, readings,
        alarms as sentences, the last errors with their causes. Times in ms, memory in MiB."""
        said = sentences(self._book.standing)
        found = condition(said, self.readings.get("error_percent") or 0.0)
        return {
            "condition": found.word,
            "condition_reason": found.reason,
            "alarms": said,
            **self._sampler.snapshot().totals(),
            "power_mode": self.power_mode,
            "readings": self.readings,
            "recent_errors": self._sampler.failures.report(),
        }

    def standing(self) -> Dict[str, bool]:
        """Which alarms stand, of all that have a rule and those without; for /metrics."""
        stand = self._book.standing
        return {name: name in stand for name in (*self._rules, *(n for n in stand if n not in self._rules))}

    def alarms(self) -> Dict[str, Any]:
        """`standing` alarms by name and their `history`, newest last; see AlarmBook."""
        return {"standing": self._book.standing, "history": self._book.history}

    async def acknowledge(self, name: str, by: str) -> bool:
        """See AlarmBook.acknowledge."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._book.acknowledge, name, by)

    def close(self) -> None:
        self._thread.shutdown()

    def _service(self, snapshot: Snapshot) -> Readings:
        self._past.append((time.monotonic(), snapshot.requests, snapshot.errors))
        (then, requests, errors), (now, requests_now, errors_now) = self._past[0], self._past[-1]
        asked, failed = requests_now - requests, errors_now - errors
        return {
            "error_percent": round(100 * failed / asked, 1) if asked >= LEAST_REQUESTS else 0.0,
            "requests_per_s": round(asked / (now - then), 2) if now > then else 0.0,
        }


def watch_device(paths: Paths, sampler: Sampler, rules: Rules, mistake: Optional[str]) -> Watch:
    """The watch of a device's service: by the device's rules, with its alarms on disk.

    `mistake` in the settings, None without one, is an alarm of its own.
    """
    watch = Watch(sampler, paths.opt, rules, paths.alarms)
    watch.tell("settings", mistake)
    return watch
