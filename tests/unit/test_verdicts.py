"""How results become verdicts, and verdicts rows."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.edgeai.fleet.plugins.filter.health_rows import health_rows
from ansible_collections.edgeai.fleet.plugins.filter.verdict import verdict
from ansible_collections.edgeai.fleet.plugins.filter.verdict_rows import verdict_rows


@pytest.mark.parametrize(
    ("result", "word"),
    [
        ({"kind": "gate_failed"}, "failed"),
        ({"kind": "reverted"}, "reverted"),
        ({"kind": "reverted", "unreached": True}, "unreached"),
        ({"unreachable": True}, "unreached"),
        ({}, "failed"),
    ],
)
def test_a_failed_result_is_the_verdict_its_kind_says(result: Dict[str, Any], word: str) -> None:
    assert verdict({"failed": True, "msg": "because", **result})["verdict"] == word


def test_the_reason_is_the_devices_own_sentence_on_one_line() -> None:
    said = verdict({"msg": "golden exact_match is 0.30,\n  required 0.95", "details": {"gates": []}})
    assert said["reason"] == "golden exact_match is 0.30, required 0.95"
    assert said["details"] == {"gates": []}


def test_a_device_without_a_verdict_is_no_success() -> None:
    rows = verdict_rows(["a"], {"a": {"runtime_line": "1", "release_verdict": {}}})
    assert rows[0]["verdict"] == "failed"
    assert rows[0]["line"] == "1"


def test_while_waves_run_a_device_without_a_verdict_waits() -> None:
    assert verdict_rows(["a"], {"a": {}}, pending="waiting")[0]["verdict"] == "waiting"


def test_an_unreached_device_has_a_row_of_the_health_table() -> None:
    fleet = {
        "a": {
            "runtime_line": "1",
            "health": {"health": {"verdict": "confirmed", "reason": None, "generation": 3, "line": "1"}},
        },
        "b": {"runtime_line": "2", "health": {"unreached": True, "msg": "no answer"}},
        "c": {},
    }
    rows = health_rows(["a", "b", "c"], fleet, "health")
    assert [(row["device"], row["verdict"], row["reason"]) for row in rows] == [
        ("a", "confirmed", None),
        ("b", "unreached", "no answer"),
        ("c", "failed", "it was not asked"),
    ]
    assert rows[0]["generation"] == 3
