from __future__ import annotations

import json
from typing import Any, Dict, Optional

import pytest

from edgeai_runtime.monitor.health import report
from edgeai_runtime.settings import Device

DEVICE = Device("line1-pi", "raspberry_pi", "line-1", "http://depot", "127.0.0.1:9001")
MANIFEST = {
    "schema": 1,
    "generation": 4,
    "models": {"reader": {"version": "1.1.0", "engine": "onnxruntime", "recipe": "int8 static"}},
}
SERVING = {"requests": 40, "errors": 1, "p50_ms": 12.0, "p99_ms": 30.0, "cpu_percent": 5.0, "rss_mb": 80.0}


def status(**changes: Any) -> Dict[str, Any]:
    """As the keeper answers it."""
    return {
        "ok": True,
        "phase": "confirmed",
        "generation": 4,
        "confirmed": 4,
        "trial": None,
        "last_reverted": None,
        "serving": SERVING,
        "restarts": 0,
        "alarms": [],
        "http": "127.0.0.1:9001",
        "history": [{"generation": 4, "outcome": "confirmed", "reason": None, "time": "2026-01-01"}],
        **changes,
    }


def test_a_healthy_device_reports_who_it_is_and_how_it_does() -> None:
    told = report(DEVICE, status(), MANIFEST)
    expected = {
        "name": "line1-pi",
        "class": "raspberry_pi",
        "line": "line-1",
        "generation": 4,
        "phase": "confirmed",
        "models": {"reader": "1.1.0"},
        "engine": "onnxruntime int8 static",
        "verdict": "confirmed",
        "reason": None,
        "condition": "good",
        "alarms": [],
        **SERVING,
    }
    assert expected.items() <= told.items()
    json.dumps(told)


SERVICE = {
    "condition": "good",
    "alarms": [],
    "requests": 41,
    "inferences": 320,
    "refused": 2,
    "mean_ms": 11.5,
    "models": {"reader": {"version": "1.1.0", "requests": 41}},
    "power_mode": "MAXN",
    "readings": {"temperature_c": 51.5, "wear_percent": None, "error_percent": 0.0},
    "recent_errors": [{"time": "…", "model": "reader", "status": 400, "count": 2, "cause": "no."}],
}


def test_what_the_serving_process_tells_is_part_of_the_report() -> None:
    told = report(DEVICE, status(), MANIFEST, service=SERVICE)
    assert (told["requests"], told["inferences"], told["refused"], told["mean_ms"]) == (41, 320, 2, 11.5)
    assert told["models"] == {"reader": "1.1.0"}
    assert (told["temperature_c"], told["power_mode"]) == (51.5, "MAXN")
    assert told["readings"] == {"temperature_c": 51.5, "error_percent": 0.0}
    assert told["recent_errors"] == SERVICE["recent_errors"]
    json.dumps(told)


def test_where_nothing_serves_the_machine_is_read_all_the_same() -> None:
    told = report(DEVICE, status(phase="failed"), MANIFEST, readings={"temperature_c": 40.0})
    assert (told["temperature_c"], told["condition"]) == (40.0, "failing")
    assert told["condition_reason"] == "nothing serves"


@pytest.mark.parametrize(
    ("alarms", "error_percent", "condition", "reason"),
    [
        ([], 0.0, "good", None),
        (["hot"], 0.0, "degraded", "an alarm stands"),
        (["hot", "full"], 0.0, "degraded", "2 alarms stand"),
        ([], 49.9, "good", None),
        (["hot"], 50.0, "failing", "50 % of the last minute's requests failed"),
    ],
)
def test_the_condition_sums_it_up_and_says_why(
    alarms: Any, error_percent: float, condition: str, reason: Optional[str]
) -> None:
    service = {**SERVICE, "readings": {"error_percent": error_percent}}
    told = report(DEVICE, status(), MANIFEST, alarms=alarms, service=service)
    assert (told["condition"], told["condition_reason"], told["alarms"]) == (condition, reason, alarms)


def test_a_device_that_took_a_generation_back_says_so_and_why() -> None:
    reverted = {"generation": 5, "outcome": "reverted", "reason": "20 of 80 requests failed", "time": "…"}
    told = report(DEVICE, status(history=[reverted], last_reverted=reverted), MANIFEST)
    assert (told["verdict"], told["generation"]) == ("reverted", 4)
    assert told["reason"] == "generation 5 was taken back: 20 of 80 requests failed"


def test_what_was_confirmed_after_a_way_back_is_confirmed() -> None:
    history = [
        {"generation": 5, "outcome": "reverted", "reason": "x"},
        {"generation": 6, "outcome": "confirmed"},
    ]
    told = report(DEVICE, status(history=history, last_reverted=history[0]), MANIFEST)
    assert (told["verdict"], told["reason"]) == ("confirmed", None)


def test_a_trial_says_how_long_it_lasts() -> None:
    trial = {"generation": 5, "fallback": 4, "remaining_s": 99.6, "requests": 3, "errors": 0}
    told = report(DEVICE, status(phase="trial", trial=trial), MANIFEST)
    assert told["verdict"] == "trial"
    assert "within 100 s" in told["reason"]


@pytest.mark.parametrize(
    ("phase", "alarms", "reason"),
    [
        ("idle", [], "no generation"),
        ("failed", ["generation 4 died 3 times"], "generation 4 died 3 times"),
        ("failed", [], "does not run"),
    ],
)
def test_a_device_that_serves_nothing_has_no_figures(phase: str, alarms: Any, reason: str) -> None:
    told = report(DEVICE, status(phase=phase, serving=None, alarms=alarms, history=[]), None)
    assert told["verdict"] == phase
    assert reason in told["reason"]
    assert (told["models"], told["engine"], told["p99_ms"], told["requests"]) == ({}, None, None, 0)
    assert told["alarms"] == alarms


JETSON = {**MANIFEST, "platform": {"l4t": "36.4.3", "cuda": "12.6.68", "tensorrt": "10.3.0"}}


def test_a_system_that_is_as_it_was_raises_no_alarm() -> None:
    told = report(DEVICE, status(), JETSON, JETSON["platform"])
    assert (told["alarms"], told["platform"]) == ([], JETSON["platform"])


def test_a_system_that_changed_under_its_generation_raises_an_alarm() -> None:
    now = {"l4t": "36.5.0", "cuda": "12.6.68"}
    told = report(DEVICE, status(alarms=["hot"]), JETSON, now)
    assert told["alarms"] == [
        "hot",
        "L4T is 36.5.0 and was 36.4.3, TensorRT is gone and was 10.3.0 when generation 4 was made: its "
        "models go on with onnxruntime on the processor; roll the release out again to convert and measure "
        "them here.",
    ]
    assert told["verdict"] == "confirmed"  # it serves, and well


@pytest.mark.parametrize("manifest", [None, MANIFEST, {**MANIFEST, "platform": {}}])
def test_what_was_never_recorded_is_not_missed(manifest: Any) -> None:
    assert report(DEVICE, status(), manifest, {"l4t": "36.5.0"})["alarms"] == []
