from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Callable, List

import pytest
from machines import RASPBERRY_PI, THERMAL, make

from edgeai_runtime.errors import InputError
from edgeai_runtime.monitor import watch as watching
from edgeai_runtime.monitor.metrics import render
from edgeai_runtime.monitor.rules import Rule
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.monitor.watch import Watch

RULES = {
    "hot": Rule("temperature_c", above=85, clear=78, latched=True),
    "errors": Rule("error_percent", 1, 5),
}
HOT = {f"{THERMAL}/thermal_zone0/temp": "86000"}


@pytest.fixture
def sampler() -> Sampler:
    return Sampler({"reader": "1.0.0"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path, RASPBERRY_PI)


@pytest.fixture
def watch(sampler: Sampler, root: Path) -> Any:
    watch = Watch(sampler, root, RULES, root / "alarms.json", root)
    yield watch
    watch.close()


def look(watch: Watch, sampler: Sampler) -> None:
    watch.look(sampler.snapshot(), {})


def test_before_the_first_look_nothing_is_known_and_nothing_held_back(watch: Watch) -> None:
    told = watch.report()
    assert (told["condition"], told["alarms"], told["readings"], watch.pressure) == ("good", [], {}, 1.0)


def test_the_report_says_how_machine_and_service_do(watch: Watch, sampler: Sampler) -> None:
    sampler.begin()
    sampler.end("reader", 400, 0.01, cause="no.")
    look(watch, sampler)
    told = watch.report()
    assert (told["condition"], told["requests"], told["refused"]) == ("good", 1, 1)
    assert told["readings"]["temperature_c"] == 47.7
    assert told["recent_errors"][0]["cause"] == "no."
    json.dumps(told)


def test_a_hot_machine_is_degraded_and_backs_off(watch: Watch, sampler: Sampler, root: Path) -> None:
    make(root, HOT)
    look(watch, sampler)
    assert watch.pressure == 0.75
    assert watch.report()["condition"] == "degraded"
    assert list(watch.alarms()["standing"]) == ["hot"]
    assert watch.standing() == {"hot": True, "errors": False}
    text = render(sampler.snapshot(), 1, watch.readings, watch.standing())
    assert 'edgeai_alarm{alarm="hot"} 1\n' in text
    assert "edgeai_pressure 0.75\n" in text


@pytest.mark.parametrize(("failed", "percent"), [(1, 0.0), (10, 50.0)])
def test_errors_are_a_share_once_there_are_requests_enough(
    watch: Watch, sampler: Sampler, failed: int, percent: float
) -> None:
    look(watch, sampler)
    for number in range(2 * failed):
        sampler.begin()
        sampler.end("reader", 500 if number % 2 else 200, 0.01)
    look(watch, sampler)
    assert watch.readings["error_percent"] == percent
    assert (watch.report()["condition"] == "failing") == (percent >= 50)


def test_it_looks_again_and_again_and_acknowledges_meanwhile(
    watch: Watch, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PERIOD_S", 0.01)
    make(root, HOT)

    async def live() -> None:
        held_back: List[float] = []
        running = asyncio.ensure_future(watch.run(held_back.append))
        watch.tell("reader", "It runs on the processor.")
        await until(lambda: set(watch.alarms()["standing"]) == {"hot", "reader"})
        assert await watch.acknowledge("hot", "anna")
        with pytest.raises(InputError, match="There is no alarm 'cold'"):
            await watch.acknowledge("cold", "anna")
        watch.tell("reader", None)
        await until(lambda: set(watch.alarms()["standing"]) == {"hot"})
        await until(lambda: held_back[-1:] == [watch.pressure])
        running.cancel()

    asyncio.run(live())


def test_a_mistake_of_its_own_does_not_end_it(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watching, "PERIOD_S", 0.01)
    looks = []

    def broken(*arguments: Any) -> None:
        looks.append(arguments)
        raise ZeroDivisionError

    monkeypatch.setattr(watch, "look", broken)

    async def live() -> None:
        running = asyncio.ensure_future(watch.run(lambda share: None))
        await until(lambda: len(looks) > 1)
        running.cancel()

    asyncio.run(live())
    assert "a mistake of its own" in caplog.text


async def until(condition: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), 20)
