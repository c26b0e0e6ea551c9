"""A conversion: what came out, how it was measured; kept as conversions/<fingerprint>.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.paths import Paths

SCHEMA = 1
LIVE = "what serves now"  # its name in the table of a search
TIME_OVER = "the time for the search was over"
MEASURED, COMPARED, CHOSEN, REJECTED = "measured", "compared", "chosen", "rejected"


@dataclass(frozen=True)
class Row:
    """One line of the candidate table, measured on the selection set through the release's pipeline.

    `quality`: as the release's gate measures it; `p50_ms`, `p99_ms`: of one sample, an image's decoding with
    it; `samples`: how many were measured before time ran out; `size`: bytes of the model file, 0 where
    there is none; `verdict`: chosen, compared or rejected, and `why` in a sentence; `in_turn`: its times
    were taken in turn with those of others, so that they can be told apart. `packed`: bytes of the file
    compressed, as it travels; `start_ms`: from the file to the first answer; `memory_mb`: the most that it
    took (MiB); `times`: of an inference alone, {"threads", "batch", "p50_ms", "p99_ms"} for several numbers
    of both; `threads`: of each inference that the other times are of.
    """

    candidate: str
    quality: Optional[float]
    p50_ms: Optional[float]
    p99_ms: Optional[float]
    samples: int
    size: int
    verdict: str
    why: str
    in_turn: bool = False
    packed: int = 0
    start_ms: Optional[float] = None
    memory_mb: Optional[float] = None
    times: Tuple[Dict[str, float], ...] = ()
    threads: int = 1

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """What the converting process tells, or what was kept; TypeError for anything else."""
        return cls(**{**data, "times": tuple(data.get("times", ()))})


def not_tried(candidate: str, why: str) -> Row:
    """The row of a candidate that there are no figures of."""
    return Row(candidate, None, None, None, 0, 0, REJECTED, why)


@dataclass(frozen=True)
class Conversion:
    """The chosen candidate and the table it was chosen from.

    `artifact` is the sha256 of the converted model in the store; empty when a check predicts one. `instead`:
    of the ONNX model that serves where an engine does not load; empty where the artifact is one. `threads`:
    of one inference, 0 when a check predicts it. `differs`:
    what is not as it was when the release's model was last converted here, by field: then and now.
    """

    fingerprint: str
    artifact: str
    engine: str
    instead: str
    recipe: str
    quality: Optional[float]
    p50_ms: Optional[float]
    p99_ms: Optional[float]
    size: int
    table: Tuple[Row, ...]
    threads: int
    changed: bool
    actions: Tuple[str, ...] = ()
    differs: Dict[str, Tuple[str, str]] = field(default_factory=dict)


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
        result["table"] = tuple(map(Row.from_json, result["table"]))
        return Conversion(**result, changed=False)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None  # Written by another runtime or damaged: converting again repairs it.


def last_inputs(paths: Paths, name: str) -> Optional[Dict[str, Any]]:
    """What the newest conversion of a release of this name was made of; None where there is none."""
    newest: Tuple[float, Optional[Dict[str, Any]]] = (0.0, None)
    for path in paths.conversions.glob("*.json"):
        try:
            record, changed = json.loads(path.read_bytes()), path.stat().st_mtime
            if record["release"] == name and changed > newest[0]:
                newest = (changed, dict(record["inputs"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # of another runtime, or damaged
    return newest[1]


def save(paths: Paths, conversion: Conversion, release: str, inputs: Dict[str, Any]) -> None:
    """Keep the conversion of a `release` of this name; `inputs` is what its fingerprint was made of, for
    whoever asks why another one differs."""
    result = asdict(conversion)
    del result["changed"], result["actions"], result["differs"]
    record = {"schema": SCHEMA, "conversion": result, "release": release, "inputs": inputs}
    text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomic(record_path(paths, conversion.fingerprint), text.encode())
