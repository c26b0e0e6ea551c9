"""The table a rollout ends with, in real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

ROWS = [
    {"device": "a", "verdict": "confirmed", "reason": "well"},
    {"device": "b", "verdict": "failed", "reason": "exact_match is 0.30, required 0.95"},
]


@pytest.fixture
def report(play: Any, tmp_path: Path) -> Any:
    def run(rows: List[Dict[str, Any]], *options: str, **arguments: Any) -> Any:
        asked = {
            "title": "reader 1.0.0",
            "rows": rows,
            "columns": ["device", "verdict", "reason"],
            **arguments,
        }
        asked["path"] = str(tmp_path / "deep/report.json")
        task = {"name": "Report", "edgeai.fleet.report": asked}
        plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
        return play(plays, {}, *options)

    return run


def test_all_confirmed_is_a_success_that_is_written(report: Any, tmp_path: Path) -> None:
    done = report(ROWS[:1])
    assert done.returncode == 0
    assert "reader 1.0.0: 1 confirmed." in done.stdout
    assert "1 ok, 0 changed" in done.stdout
    written = json.loads((tmp_path / "deep/report.json").read_text())
    assert written == {"schema": 1, "title": "reader 1.0.0", "ok": True, "devices": ROWS[:1]}


def test_anything_else_fails_after_the_table_and_is_written_too(report: Any, tmp_path: Path) -> None:
    done = report(ROWS)
    assert done.returncode != 0
    assert "    b       failed     exact_match is 0.30, required 0.95\n" in done.stdout
    assert "reader 1.0.0: 1 confirmed, 1 failed." in done.stdout
    assert json.loads((tmp_path / "deep/report.json").read_text())["ok"] is False


def test_other_verdicts_may_count_as_success(report: Any) -> None:
    assert report(ROWS, success=["confirmed", "failed"]).returncode == 0


def test_no_device_at_all_is_no_success(report: Any) -> None:
    done = report([])
    assert done.returncode != 0
    assert "reader 1.0.0: no device was meant." in done.stdout


def test_check_mode_writes_nothing(report: Any, tmp_path: Path) -> None:
    assert report(ROWS[:1], "--check").returncode == 0
    assert not (tmp_path / "deep").exists()


def test_a_report_that_cannot_be_written_fails_with_the_table(report: Any, tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file")
    done = report(ROWS[:1])
    assert done.returncode != 0
    assert "the report cannot be written" in done.stdout
    assert "well" in done.stdout
