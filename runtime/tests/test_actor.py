"""Who asks, as the journal names it, and the steps that only the journal tells of."""

from __future__ import annotations

import json
import os
import platform
import pwd
from pathlib import Path
from typing import Any, Dict, List

import pytest

from edgeai_runtime.actor import actor
from edgeai_runtime.cli import main
from edgeai_runtime.durable import append_journal
from edgeai_runtime.paths import Paths


@pytest.fixture
def nobody_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("EDGEAI_ACTOR", "SUDO_USER"):
        monkeypatch.delenv(variable, raising=False)


def journal(paths: Paths) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in paths.journal.read_text().splitlines()]


def test_who_typed_is_named_with_the_machine(nobody_said: None) -> None:
    assert actor() == f"{pwd.getpwuid(os.getuid()).pw_name}@{platform.node()}"


def test_through_sudo_it_is_who_called_it(nobody_said: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "pi")
    assert actor() == f"pi@{platform.node()}"


def test_an_account_without_a_name_has_its_number(nobody_said: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    assert actor() == f"uid 4321@{platform.node()}"


def test_a_playbook_says_who_runs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "anna@controller, rollout 4711")
    append_journal(Paths(tmp_path), "tried", generation=2)
    (entry,) = journal(Paths(tmp_path))
    assert entry["actor"] == "anna@controller, rollout 4711"


def test_a_line_of_the_journal_stays_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "a" * 10_000)
    assert actor() == "a" * 200


class TestAStepThatFails:
    def test_is_in_the_journal_with_its_reason(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        paths = Paths(tmp_path)
        paths.var.mkdir(parents=True)
        assert main(["--root", str(tmp_path), "--json", "convert", "reader", "1.0.0"]) == 1
        told = json.loads(capsys.readouterr().out)["error"]
        (entry,) = journal(paths)
        assert (entry["event"], entry["command"]) == ("step_failed", "convert")
        assert (entry["kind"], entry["reason"]) == (told["kind"], told["message"])

    @pytest.mark.parametrize(
        "words", [["convert", "--check", "reader", "1.0.0"], ["report", "key"]], ids=["check", "look"]
    )
    def test_leaves_no_line_where_nothing_would_have_changed(self, tmp_path: Path, words: List[str]) -> None:
        paths = Paths(tmp_path)
        paths.var.mkdir(parents=True)
        assert main(["--root", str(tmp_path), *words]) == 1
        assert not paths.journal.exists()

    def test_makes_no_device_of_a_machine_that_is_none(self, tmp_path: Path) -> None:
        assert main(["--root", str(tmp_path), "convert", "reader", "1.0.0"]) == 1
        assert list(tmp_path.iterdir()) == []
