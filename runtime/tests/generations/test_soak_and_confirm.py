"""After the switch: watched, kept, or taken back by the device itself."""

from __future__ import annotations

import threading
from typing import Any, List

import pytest
from bench import Bench, wait_for
from toy import toy_model

from edgeai_runtime.errors import KeeperError, Reverted
from edgeai_runtime.generations.soak import soak
from edgeai_runtime.generations.verdicts import confirm


def ignore(sentence: str) -> None:
    """No one listens to the progress."""


def test_a_soak_counts_what_was_answered(bench: Bench) -> None:
    bench.trial(bench.release("1.1.0"))
    for _turn in range(5):
        bench.wait_served("1.1.0")
    wait_for(lambda: bench.status()["trial"]["requests"] >= 5, "the heartbeat to count five requests")
    watched = soak(bench.paths, 0.5, ignore)
    assert (watched.generation, watched.errors, watched.changed) == (3, 0, False)
    assert watched.requests >= 5


def test_a_soak_ends_at_once_when_the_device_takes_the_trial_back(bench: Bench) -> None:
    """A release that answers its small golden images and errs on wider ones, as they come in use."""
    bench.trial(bench.release("1.2.0", model=toy_model(erring_width=90), gates={"error_rate": 0.1}))
    stop = threading.Event()
    statuses: List[int] = []

    def load() -> None:
        while not stop.is_set():
            statuses.append(bench.ask("ABCDABCD")[0])

    client = threading.Thread(target=load)
    client.start()
    try:
        with pytest.raises(Reverted, match=r"took generation 3 back: \d+ of \d+ requests failed") as caught:
            soak(bench.paths, 60.0, ignore)
    finally:
        stop.set()
        client.join()
    assert caught.value.details["generation"] == 3
    assert 500 in statuses
    bench.wait_confirmed(2)
    bench.wait_served("1.0.0")


def test_a_soak_or_a_confirm_after_the_deadline_says_that_it_was_taken_back(bench: Bench) -> None:
    bench.trial(bench.release("1.1.0"), deadline_s=0.0)
    bench.wait_confirmed(2)
    with pytest.raises(Reverted, match="it was not confirmed within 0 s; generation 2 serves again"):
        soak(bench.paths, 1.0, ignore)
    with pytest.raises(Reverted, match="it was not confirmed within 0 s"):
        confirm(bench.paths)
    with pytest.raises(Reverted):
        confirm(bench.paths, generation=3)
    confirm(bench.paths, generation=2)  # makes the room that the third took
    assert not confirm(bench.paths, generation=2).changed


def test_a_soak_ends_when_the_trial_is_confirmed_meanwhile(bench: Bench) -> None:
    bench.trial(bench.release("1.1.0"))
    watched: List[Any] = []
    watcher = threading.Thread(target=lambda: watched.append(soak(bench.paths, 600.0, ignore)))
    watcher.start()
    confirm(bench.paths)
    watcher.join(timeout=30)
    assert not watcher.is_alive()
    assert watched[0].generation == 3


def test_without_a_trial_a_soak_has_nothing_to_watch(bench: Bench) -> None:
    watched = soak(bench.paths, 60.0, ignore)
    assert (watched.generation, watched.requests) == (2, 0)
    assert watched.actions == ("nothing is on trial, generation 2 is confirmed",)


def test_confirming_keeps_the_generation_and_again_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "rollout 7")
    bench.trial(bench.release("1.1.0"))
    predicted = confirm(bench.paths, check=True)
    assert (predicted.generation, predicted.changed) == (3, True)
    assert bench.status()["phase"] == "trial"
    kept = confirm(bench.paths)
    assert (kept.generation, kept.changed) == (3, True)
    assert bench.status()["confirmed"] == 3
    assert bench.journal()[-1]["actor"] == "rollout 7"
    again = confirm(bench.paths)
    assert (again.generation, again.changed) == (3, False)


def test_with_nothing_ever_on_trial_there_is_nothing_to_confirm(empty: Bench) -> None:
    with pytest.raises(KeeperError, match="run a trial first"):
        confirm(empty.paths)


def test_confirming_a_generation_that_is_not_the_one_on_trial_is_refused(bench: Bench) -> None:
    bench.trial(bench.release("1.1.0"))
    with pytest.raises(KeeperError, match="generation 7"):
        confirm(bench.paths, generation=7)
    assert bench.status()["phase"] == "trial"
