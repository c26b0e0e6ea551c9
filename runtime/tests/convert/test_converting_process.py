"""The converting process: however it ends, the device gets a sentence."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path
from typing import Any, Callable, List

import pytest

from edgeai_runtime.convert import child
from edgeai_runtime.errors import ConvertError

ROW = (
    '{"row": {"candidate": "fp32", "quality": 1.0, "p50_ms": 1.0, "p99_ms": 2.0, "samples": 3, "size": 4,'
    ' "verdict": "measured", "why": ""}}'
)


def run(
    monkeypatch: pytest.MonkeyPatch,
    work: Path,
    script: str,
    left_s: Callable[[], float] = lambda: 60.0,
) -> List[str]:
    """Run a shell script in the converting process's place; the candidates whose rows arrived."""
    python = work / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    rows: List[Any] = []
    child.run_child(b"{}", str(work), lambda _: None, lambda word, row: rows.append((word, row)), left_s)
    return [f"{word} {row['candidate']}" for word, row in rows]


def test_its_rows_arrive_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, f"echo '{ROW}'; echo '{ROW}'") == ["row fp32", "row fp32"]


def test_a_crash_names_the_signal_and_what_was_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """echo '{"progress": "measuring int8 static"}'; kill -SEGV $$"""
    with pytest.raises(ConvertError, match="while measuring int8 static: its process died of SIGSEGV"):
        run(monkeypatch, tmp_path, script)


def test_a_failure_quotes_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="failed with MemoryError: no room; choose another recipe"):
        run(monkeypatch, tmp_path, "echo 'MemoryError: no room' >&2; exit 3")


def test_one_that_hangs_is_killed_once_no_time_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = iter([9.0, 5.0, 0.0])
    with pytest.raises(ConvertError, match=r"it took longer than \d+ s"):
        run(monkeypatch, tmp_path, "exec sleep 600", lambda: next(left))


@pytest.mark.parametrize("ends", ["wait", "exit"])
def test_what_it_began_ends_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: str) -> None:
    """A pipe that nobody has open for writing any more is at its end."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    script = f"sleep 600 3>{tmp_path}/pipe >/dev/null & {ends}"
    try:
        with contextlib.suppress(ConvertError):
            run(monkeypatch, tmp_path, script, lambda: 0.0)
        assert select.select([reader], [], [], 30)[0] == [reader]
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


def test_one_that_takes_all_memory_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "free_mb", lambda: 100.0)
    takes = 'import time; taken = bytearray(b"x" * (200 << 20)); time.sleep(600)'
    with pytest.raises(ConvertError, match="it took more than 90 MiB, 90% of what was free"):
        run(monkeypatch, tmp_path, f"exec {sys.executable} -c '{takes}'")


def test_its_own_sentence_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """echo '{"error": "the file is no complete ONNX model.", "kind": "convert"}'"""
    with pytest.raises(ConvertError, match=r"^the file is no complete ONNX model\.$"):
        run(monkeypatch, tmp_path, script)
