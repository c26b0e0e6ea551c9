"""A conversion waits while the device is too hot, or what serves on it is held up."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional

import psutil
import pytest

from edgeai_runtime.convert import child
from edgeai_runtime.convert.burden import Burden
from edgeai_runtime.convert.stopwatch import notice_pauses, timed


def report(p99_ms: Optional[float], requests_s: float = 10.0) -> Dict[str, Any]:
    return {"p99_ms": p99_ms, "readings": {"requests_per_s": requests_s}}


def zone(root: Path, degrees: float, slowing: float = 80.0) -> None:
    """A thermal zone with a cooling device that slows the processor down."""
    place = root / "sys/class/thermal/thermal_zone0"
    (place / "cdev0").mkdir(parents=True, exist_ok=True)
    for name, text in {
        "temp": str(int(degrees * 1000)),
        "cdev0_trip_point": "0",
        "trip_point_0_temp": str(int(slowing * 1000)),
        "trip_point_0_type": "passive",
        "cdev0/type": "cpufreq-cpu0",
    }.items():
        (place / name).write_text(text)


class Served:
    """What serves: its report, as a test sets it."""

    def __init__(self, said: Optional[Dict[str, Any]]) -> None:
        self.said = said

    def __call__(self) -> Optional[Dict[str, Any]]:
        return self.said


def burden(root: Path, served: Served) -> Burden:
    return Burden(root / "nobody.sock", root, served)


def test_a_cool_device_that_serves_as_before_bears_it(tmp_path: Path) -> None:
    zone(tmp_path, 50.0)
    served = Served(report(20.0))
    bears = burden(tmp_path, served)
    served.said = report(21.9)
    assert bears.too_much() == ""


def test_heat_is_too_much(tmp_path: Path) -> None:
    zone(tmp_path, 50.0)
    bears = burden(tmp_path, Served(None))
    zone(tmp_path, 77.0)
    assert bears.too_much() == "the device is hot, 3 °C from where it slows itself down"
    assert bears.hot


def test_requests_that_take_a_tenth_longer_are_too_much(tmp_path: Path) -> None:
    served = Served(report(20.0))
    bears = burden(tmp_path, served)
    served.said = report(22.5)
    assert bears.too_much() == "requests take up to 22.5 ms instead of 20.0"
    assert not bears.hot


@pytest.mark.parametrize("said", [None, {}, report(None), report(99.0, requests_s=0.2)])
def test_where_nothing_is_told_nothing_is_too_much(tmp_path: Path, said: Optional[Dict[str, Any]]) -> None:
    served = Served(report(20.0))
    bears = burden(tmp_path, served)
    served.said = said
    assert bears.too_much() == ""


def test_nobody_who_serves_is_nobody_held_up(tmp_path: Path) -> None:
    assert Burden(tmp_path / "nobody.sock", tmp_path).too_much() == ""


def test_the_process_waits_until_the_device_bears_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends when it is told to, which it can read only while it is not stopped."""
    monkeypatch.setattr(child, "_LOOK_S", 0.0)
    monkeypatch.setattr(child, "_PERIOD_S", 0.02)
    monkeypatch.setattr(child, "LONGEST_PAUSE_S", 0.0)
    served = Served(report(20.0))
    bears = burden(tmp_path, served)
    served.said = report(40.0)
    states: List[str] = []
    python = tmp_path / "python"

    def progress(sentence: str) -> None:
        states.append(sentence)
        if sentence.startswith("pausing"):
            (pid,) = (one.pid for one in psutil.Process().children() if str(python) in one.cmdline())
            stopped = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
            states.append(signal.Signals(stopped.si_status).name)
            served.said = report(20.0)
        if sentence == "going on":
            (tmp_path / "end").touch()

    # Nothing that forks: a shell whose child is stopped before it is a program cannot be stopped itself.
    python.write_text(
        f"#!{sys.executable}\nimport os, time\nwhile not os.path.exists('{tmp_path}/end'): time.sleep(0.01)\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    child.run_child(b"{}", str(tmp_path), progress, lambda _word, _said: None, lambda: 60.0, bears)
    assert states[0] == "pausing, since requests take up to 40.0 ms instead of 20.0"
    assert states[1:] == ["SIGSTOP", "going on"]


def test_a_time_that_a_pause_fell_into_is_taken_again() -> None:
    before = signal.getsignal(signal.SIGCONT)
    asked: List[int] = []

    def ask() -> int:
        asked.append(len(asked))
        if len(asked) == 1:
            os.kill(os.getpid(), signal.SIGCONT)
        return len(asked)

    assert threading.current_thread() is threading.main_thread()
    notice_pauses()
    try:
        answer, milliseconds = timed(ask)
    finally:
        signal.signal(signal.SIGCONT, before)
    assert (answer, asked) == (2, [0, 1])
    assert milliseconds >= 0
