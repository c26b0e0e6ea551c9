"""What a conversion has finished, on the disk: one that was killed goes on behind it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, Optional

from edgeai_runtime.convert.conversion import Row
from edgeai_runtime.durable import write_atomic
from edgeai_runtime.release import file_sha256

PREPARED = "prepared.onnx"  # what all candidates are made of


def model_file(work: Path, index: int) -> Path:
    """Where the model of a candidate lies, by its place in the plan."""
    return work / f"{index}.onnx"


class Kept(NamedTuple):
    """A row, and the sha256 of its model's file; "" where there was none."""

    row: Row
    model: str


def keep(work: Path, index: int, row: Row) -> Kept:
    """Make a candidate's row durable, and its model before it. Raises OSError, StorageError."""
    file, sha256 = model_file(work, index), ""
    if file.exists():
        with open(file, "rb") as content:
            os.fsync(content.fileno())
        sha256 = file_sha256(file)
    kept = Kept(row, sha256)
    _write(work, index, kept, bool(sha256))
    return kept


def drop_model(work: Path, index: int, kept: Kept) -> None:
    """Remove the model of a candidate that others are better than; its row stays."""
    _write(work, index, kept, False)
    model_file(work, index).unlink()


def kept(work: Path, index: int, name: str) -> Optional[Kept]:
    """What was finished of a candidate, where that and its model are whole."""
    try:
        told = json.loads((work / f"{index}.json").read_bytes())
        found, there = Kept(Row.from_json(told["row"]), told["model"]), told["there"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    file = model_file(work, index)
    damaged = there and (not file.exists() or file_sha256(file) != found.model)
    return None if damaged or found.row.candidate != name else found


def _write(work: Path, index: int, kept: Kept, there: bool) -> None:
    told = {"row": asdict(kept.row), "model": kept.model, "there": there}
    write_atomic(work / f"{index}.json", json.dumps(told).encode())
