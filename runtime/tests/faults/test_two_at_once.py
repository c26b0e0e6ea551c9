"""Two who change the device at the same time: one waits for the other or is refused, and the end is right."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Dict, List, Tuple

import pytest
from factory import Factory

NEWER = ["label-reader", "1.1.0"]


def at_once(device: Factory, *commands: List[str]) -> List[Tuple[int, Dict[str, Any]]]:
    """Run commands in processes of their own, all together; how each ended."""
    edgeai = [sys.executable, "-m", "edgeai_runtime", "--root", str(device.paths.root), "--json"]
    running = [
        subprocess.Popen([*edgeai, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for words in commands
    ]
    ended = []
    for process in running:
        out, complaints = process.communicate(timeout=120)
        assert "Traceback" not in complaints
        answer = json.loads(out.splitlines()[-1])
        assert process.returncode == 0 or "\n" not in answer["error"]["message"]
        ended.append((process.returncode, answer))
    assert device.half_done() == []
    device.must("verify")
    return ended


def test_two_updates(factory: Factory) -> None:
    ended = at_once(factory, *[["update", "apply", "--seconds", "0.1"]] * 2)
    assert 0 in [status for status, _answer in ended]
    assert factory.bench.status()["confirmed"] == 3
    factory.bench.wait_served("1.1.0")
    assert factory.bench.generations() == ["1", "2", "3"]
    assert not factory.must("update", "apply")["changed"]


def test_two_trials_of_the_same(factory: Factory) -> None:
    factory.must("fetch", *NEWER)
    factory.must("convert", *NEWER)  # who waits for the other gives up when that takes half a minute
    ended = at_once(factory, *[["trial", "--release", *NEWER]] * 2)
    assert [(status, answer["generation"]) for status, answer in ended] == [(0, 3), (0, 3)]
    assert sorted(answer["changed"] for _status, answer in ended) == [False, True]
    factory.must("confirm")
    factory.bench.wait_served("1.1.0")


def test_a_trial_and_another_way(factory: Factory) -> None:
    """Of a trial and a way back either may come first; the device is confirmed or on trial, and serves."""
    factory.must("update", "apply", "--seconds", "0")
    factory.must("fetch", "label-reader", "1.0.0")
    at_once(
        factory,
        ["trial", "--release", "label-reader", "1.0.0"],
        ["rollback", "--release", "label-reader", "--to", "1.0.0"],
    )
    assert factory.bench.status()["phase"] in ("confirmed", "trial")
    assert factory.answers() in ("1.0.0", "1.1.0")


@pytest.mark.parametrize("what", ["fetch", "environment"])
def test_two_downloads_of_the_same(factory: Factory, lock: str, what: str) -> None:
    build = ["environment", "build", "--lock-sha256", lock, "--depot", f"file://{factory.bundle}"]
    command = ["fetch", *NEWER] if what == "fetch" else [*build, "--python", sys.executable]
    ended = at_once(factory, command, command)
    assert [status for status, _answer in ended] == [0, 0]
    assert sorted(answer["changed"] for _status, answer in ended) == [False, True]
