"""The table a rollout ends with, in real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List
from xml.etree import ElementTree

import pytest
from ansible_collections.edgeai.fleet.plugins.plugin_utils.picture import LEFT, picture

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


def candidate(
    name: str, quality: Any, p50_ms: Any, size: float, verdict: str, why: str = "so"
) -> Dict[str, Any]:
    return {
        "candidate": name,
        "quality": quality,
        "p50_ms": p50_ms,
        "size": size,
        "verdict": verdict,
        "why": why,
    }


TABLE = [
    candidate("fp32", 1.0, 25.0, 21e6, "compared"),
    candidate("int8 static", 0.98, 15.0, 6e6, "chosen"),
    candidate("a < b", None, None, 0, "rejected", "it & they died"),
]


def test_the_candidates_of_a_conversion_are_a_picture_beside_it(report: Any, tmp_path: Path) -> None:
    done = report([{**ROWS[0], "details": {"table": TABLE}}])
    assert done.returncode == 0
    drawn = ElementTree.parse(tmp_path / "deep/report-a.svg").getroot()
    said = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert said[0] == "reader 1.0.0 on a"
    assert "int8 static: 0.980, 15 ms, 6.00 MB, chosen" in said
    assert "a < b: it & they died" in said
    marks = {
        (mark.get("fill"), mark.get("r")): float(mark.get("cx") or 0)
        for mark in drawn.iter("{http://www.w3.org/2000/svg}circle")
        if float(mark.get("cx") or 0) > LEFT
    }
    assert marks["#0a7d4f", "9"] == marks["none", "14"]  # the chosen one has a ring around it
    assert marks["#0a7d4f", "9"] < marks["#3b6fb6", "9"]  # and is quicker


def test_a_picture_of_one_candidate_or_of_none_with_figures_is_drawn() -> None:
    for table in (TABLE[:1], TABLE[2:]):
        ElementTree.fromstring(picture("one", table))
