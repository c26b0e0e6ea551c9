"""A conversion: what came out, how it was measured; kept as conversions/<fingerprint>.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.paths import Paths

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One line of the candidate table, measured on the selection set through the release's pipeline.

    `quality`: share of images answered exactly; `p50_ms`, `p99_ms`: of one image, decoding to answer;
    `samples`: how many images were measured before time ran out; `size`: bytes of the model file;
    `verdict`: chosen, compared or rejected, and `why` in a sentence.
    """

    candidate: str
    quality: Optional[float]
    p50_ms: Optional[float]
    p99_ms: Optional[float]
    samples: int
    size: int
    verdict: str
    why: str


@dataclass(frozen=True)
class Conversion:
    """The chosen candidate and the table it was chosen from.

    `artifact` is the sha256 of the converted model in the store; empty when a check predicts one.
    """

    fingerprint: str
    artifact: str
    engine: str
    recipe: str
    quality: Optional[float]
    p50_ms: Optional[float]
    p99_ms: Optional[float]
    size: int
    table: Tuple[Row, ...]
    changed: bool
    actions: Tuple[str, ...] = ()


def record_path(paths: Paths, fingerprint: str) -> Path:
    """Where the conversion with this fingerprint is kept."""
    return paths.conversions / f"{fingerprint}.json"


def load(paths: Paths, fingerprint: str) -> Optional[Conversion]:
    """The kept conversion, or None when there is none a reader of this schema understands."""
    try:
        data = json.loads(record_path(paths, fingerprint).read_bytes())
        if data["schema"] != SCHEMA:
            return None
        result: Dict[str, Any] = dict(data["conversion"])
        result["table"] = tuple(Row(**row) for row in result["table"])
        return Conversion(**result, changed=False)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None  # Written by another runtime or damaged: converting again repairs it.


def save(paths: Paths, conversion: Conversion, inputs: Dict[str, Any]) -> None:
    """Keep a conversion; `inputs` is what its fingerprint was made of, for whoever asks why it differs."""
    result = asdict(conversion)
    del result["changed"], result["actions"]
    record = {"schema": SCHEMA, "conversion": result, "inputs": inputs}
    text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomic(record_path(paths, conversion.fingerprint), text.encode())
