"""The converting process: a job as JSON on stdin, JSON lines on stdout (see child.py)."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict

import psutil

from edgeai_runtime.durable import cannot_write, of_the_disk
from edgeai_runtime.errors import EdgeAIError


def main() -> int:
    """Do one job; returns 0 also when it failed with a sentence."""
    # Before onnxruntime is imported, or it phones home.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # Lines from native code belong to stderr: stdout is the protocol.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with contextlib.suppress(OSError, psutil.Error):  # what serves on this device goes first
        os.nice(19)
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)

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
    from edgeai_runtime.convert.stopwatch import notice_pauses
    from edgeai_runtime.convert.work import convert_all, measure_given, race_all

    notice_pauses()

    def progress(sentence: str) -> None:
        say(progress=sentence)

    if job["race"]:
        say(times=race_all(job, progress))
        return
    if job.get("given"):
        say(row=asdict(measure_given(job, progress)))
        return
    for row in convert_all(job, progress):
        say(row=asdict(row))


if __name__ == "__main__":
    sys.exit(main())
