"""`edgeai release check --as CLASS`: what a device would say, with this machine as the device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from zoo import model

from edgeai_runtime.authoring.init import init
from edgeai_runtime.cli import main


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(model("of_four", tmp_path))
    init(tmp_path / "release", tmp_path / "model.onnx")
    toml = tmp_path / "release" / "release.toml"
    toml.write_text(toml.read_text().replace('strategy = "auto"', 'quantize = "none"'))
    return tmp_path / "release"


def test_a_good_release_is_told_with_its_figures(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "release", "check", str(source), "--as", "raspberry_pi"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["candidate"] for row in told["table"]] == ["fp32"]
    assert (told["golden"]["quality"], told["golden"]["samples"]) == (1.0, 8)


def test_a_gate_that_fails_is_a_sentence(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = source / "release.toml"
    toml.write_text(toml.read_text().replace("# p99_ms = 100 ", "p99_ms = 0.001 "))
    samples = source / "golden.jsonl"
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    lines[0]["expect"]["y"] = [1e6] * len(lines[0]["expect"]["y"])
    samples.write_text("\n".join(map(json.dumps, lines)))
    assert main(["release", "check", str(source), "--as", "jetson"]) == 1
    said = capsys.readouterr().err
    assert "release 1.0.0 would not be switched to on this machine: golden agreement is 0.875" in said
    assert "required at least 0.95, and p99_ms is " in said
