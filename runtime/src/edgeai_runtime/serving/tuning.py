"""What a warm-up measured, kept on disk: a restart on the same machine need not measure again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Dict, Optional

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import StorageError
from edgeai_runtime.serving.batching import Batching
from edgeai_runtime.serving.cores import usable

SCHEMA = 2
MEASURED_HOW = 1  # raised whenever serving/batching.py measures or decides otherwise
MOST = 50  # models


class Tuning:
    """Batching, memory and threads by fingerprint, the oldest forgotten first. A file that is damaged, or
    that cannot be written, costs a measurement and nothing else."""

    def __init__(self, path: Optional[Path]) -> None:
        """`path`: None keeps nothing."""
        self._path = path
        self._known: Dict[str, Any] = {}
        if path is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                found = json.loads(path.read_bytes())
                self._known = dict(found["measured"]) if found["schema"] == SCHEMA else {}

    def find(self, fingerprint: str) -> Optional[Batching]:
        """What was measured, None where it was not."""
        try:
            entry = self._known[_key(fingerprint)]
            size, inline, why = int(entry["max_batch_size"]), entry["inline"] is True, str(entry["why"])
            alone_s = float(entry["alone_s"])
        except (KeyError, TypeError, ValueError):
            return None
        return Batching(max(1, size), inline, why, alone_s=alone_s)

    def memory_mb(self, fingerprint: str) -> Optional[float]:
        """MiB that the model took, None where it was not measured."""
        try:
            return float(self._known[_key(fingerprint)]["memory_mb"])
        except (KeyError, TypeError, ValueError):
            return None

    def threads(self, fingerprint: str) -> Optional[int]:
        """On how many an inference was worth it, None where it was not measured."""
        try:
            return max(1, int(self._known[_key(fingerprint)]["threads"]))
        except (KeyError, TypeError, ValueError):
            return None

    def keep(self, fingerprint: str, found: Batching, memory_mb: float, threads: int) -> None:
        """Write down what was measured, unless it is known."""
        if self._path is None or not fingerprint or not found.known or self.find(fingerprint) is not None:
            return
        entry = {
            "max_batch_size": found.max_batch_size,
            "inline": found.inline,
            "why": found.why,
            "alone_s": found.alone_s,
            "memory_mb": memory_mb,
            "threads": threads,
        }
        known = {**{key: value for key, value in self._known.items() if key != _key(fingerprint)}}
        known[_key(fingerprint)] = entry
        self._known = dict(list(known.items())[-MOST:])
        content = json.dumps({"schema": SCHEMA, "measured": self._known}, ensure_ascii=False, indent=1)
        with contextlib.suppress(StorageError):
            write_atomic(self._path, content.encode() + b"\n")


def _key(fingerprint: str) -> str:
    """A model's conversion tells the processor and the packages apart, not how much of it is ours."""
    return f"{MEASURED_HOW}-{usable()}-{fingerprint}"


NOTHING_KEPT = Tuning(None)
