"""What the benchmark has converted are models that a device can convert. No figure is judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.conversions import CLASS, case
from edgeai_runtime.authoring.rehearse import rehearse
from edgeai_runtime.convert import plan

FEW = 4  # samples of each set


def test_the_detector_of_rapidocr_has_a_measured_artifact_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_near", lambda *_about: iter(()))  # the likeliest ways alone, to be quick
    files = case("detector", Path.home() / ".cache" / "edgeai")
    for name in ("calibration", "selection", "golden"):
        files[f"{name}.jsonl"] = b"".join(files[f"{name}.jsonl"].splitlines(keepends=True)[:FEW])
    for file, content in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)

    made, golden = rehearse(tmp_path, CLASS, lambda _sentence: None)
    assert (made.quality or 0.0) >= 0.95
    qualities = {row.candidate: row.quality for row in made.table}
    assert qualities["fp32"] == 1.0
    assert (qualities["int8 static, per channel"] or 0.0) > 0.8, "it is quantized, and finds text"
    assert qualities["int8 dynamic"] is None, "it has convolutions alone"
    assert golden.samples == FEW
