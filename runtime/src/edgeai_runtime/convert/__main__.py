"""The converting process: a job as JSON on stdin, JSON lines on stdout (see child.py)."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict

from edgeai_runtime.durable import cannot_write, of_the_disk
from edgeai_runtime.errors import EdgeAIError


def main() -> int:
    """Do one job; returns 0 also when it failed with a sentence."""
    # Before onnxruntime is imported, or it phones home.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # Lines from native code belong to stderr: stdout is the protocol.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with contextlib.suppress(OSError):
        os.nice(10)  # what serves on this device goes first

    def say(**line: Any) -> None:
        print(json.dumps(line), file=answers, flush=True)

    job = json.load(sys.stdin)
    try:
        _do(job, say)
    except Exception as error:
        disk = of_the_disk(error)
        told = error if disk is None else cannot_write(Path(job["work"]).parent, disk)
        if not isinstance(told, EdgeAIError):
            raise
        say(error=told.message, kind=told.kind)
    return 0


def _do(job: Dict[str, Any], say: Callable[..., None]) -> None:
    from edgeai_runtime.convert.work import convert_all

    for row in convert_all(job, progress=lambda sentence: say(progress=sentence)):
        say(row=asdict(row))


if __name__ == "__main__":
    sys.exit(main())
