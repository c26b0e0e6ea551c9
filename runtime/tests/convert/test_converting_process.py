"""The converting process: however it ends, the device gets a sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List

import pytest

from edgeai_runtime.convert import child
from edgeai_runtime.errors import ConvertError

ROW = (
    '{"row": {"candidate": "fp32", "quality": 1.0, "p50_ms": 1.0, "p99_ms": 2.0, "samples": 3, "size": 4,'
    ' "verdict": "measured", "why": ""}}'
)


def run(monkeypatch: pytest.MonkeyPatch, work: Path, script: str, time_limit_s: float = 60.0) -> List[str]:
    """Run a shell script in the converting process's place; the candidates whose rows arrived."""
    python = work / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    rows = child.run_child(b"{}", str(work), lambda sentence: None, time_limit_s)
    return [row.candidate for row in rows]


def test_its_rows_arrive_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, f"echo '{ROW}'; echo '{ROW}'") == ["fp32", "fp32"]


def test_a_crash_names_the_signal_and_what_was_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """echo '{"progress": "measuring int8 static"}'; kill -SEGV $$"""
    with pytest.raises(ConvertError, match="while measuring int8 static: its process died of SIGSEGV"):
        run(monkeypatch, tmp_path, script)


def test_a_failure_quotes_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="failed with MemoryError: no room; choose another recipe"):
        run(monkeypatch, tmp_path, "echo 'MemoryError: no room' >&2; exit 3")


def test_one_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="took longer than 0 s"):
        run(monkeypatch, tmp_path, "exec sleep 600", time_limit_s=0.1)


def test_its_own_sentence_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """echo '{"error": "the file is no complete ONNX model.", "kind": "convert"}'"""
    with pytest.raises(ConvertError, match=r"^the file is no complete ONNX model\.$"):
        run(monkeypatch, tmp_path, script)
