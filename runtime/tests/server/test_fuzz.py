"""A bounded run of the fuzzer; `make fuzz` looks for longer."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).resolve().parent.parent / "fuzz" / "decoder.py"
SEEDS = (
    ({"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}, bytes(12)),
    (
        {"name": "x", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 9}},
        b"\1\0\0\0a\0\0\0\0",
    ),
    ({"name": "x", "datatype": "INT64", "shape": [2], "data": [1, 18446744073709551616]}, b""),
    ({"name": "x", "datatype": "FP16", "shape": [0, 1 << 39, 1 << 39], "data": []}, b""),
)


def test_whatever_the_bytes_they_are_read_or_refused(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="there is no atheris for this Python and machine")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, (tensor, behind) in enumerate(SEEDS):
        outputs = [{"name": "y", "parameters": {"binary_data": True, "classification": 2}}]
        text = json.dumps({"id": "1", "inputs": [tensor], "outputs": outputs}).encode()
        (corpus / str(number)).write_bytes(struct.pack("<H", len(text)) + text + behind)
    bounded = [
        "-runs=40000",
        "-max_total_time=30",
        "-seed=1",
        "-max_len=2048",
        "-rss_limit_mb=1024",
        "-timeout=10",
    ]
    done = subprocess.run(
        [sys.executable, str(HARNESS), *bounded, f"-artifact_prefix={tmp_path}/", str(corpus)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Done" in done.stderr  # all of it ran
