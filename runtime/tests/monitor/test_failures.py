from __future__ import annotations

from edgeai_runtime.monitor.failures import KEPT, Failures


def test_the_last_errors_are_kept_newest_first() -> None:
    failures = Failures()
    for number in range(KEPT + 1):
        failures.add("reader", 500, f"cause {number}")
    causes = [entry["cause"] for entry in failures.report()]
    assert len(causes) == KEPT
    assert (causes[0], causes[-1]) == (f"cause {KEPT}", "cause 1")


def test_a_mistake_made_again_and_again_does_not_push_the_others_out() -> None:
    failures = Failures()
    failures.add("reader", 500, "the model failed")
    for _turn in range(1000):
        failures.add("reader", 400, "the shape is wrong")
    assert [(entry["cause"], entry["count"]) for entry in failures.report()] == [
        ("the shape is wrong", 1000),
        ("the model failed", 1),
    ]


def test_a_cause_without_end_is_cut() -> None:
    failures = Failures()
    failures.add("reader", 400, "x" * 100_000)
    assert len(failures.report()[0]["cause"]) == 500
