"""Run the converting process: what crashes or hangs in it is a rejected candidate, not a lost device."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Callable, List

from edgeai_runtime.convert.conversion import Row
from edgeai_runtime.errors import ConvertError, StorageError

TIME_LIMIT_S = 1800.0


def run_child(
    job: bytes, work: str, progress: Callable[[str], None], time_limit_s: float = TIME_LIMIT_S
) -> List[Row]:
    """Convert and measure in a process of its own; returns the measured rows in the job's order.

    The child answers JSON lines: {"progress": sentence}, {"row": {…}}, {"error": sentence, "kind": word}.
    Raises ConvertError or StorageError with the child's sentence, ConvertError with the signal or status
    it ended with.
    """
    # Its temporary files too lie where there was seen to be room; /tmp may be in memory.
    environment = dict(os.environ, ORT_DISABLE_TELEMETRY="1", TMPDIR=work)
    rows: List[Row] = []
    doing = "starting"
    command = [sys.executable, "-m", "edgeai_runtime.convert"]
    with tempfile.TemporaryFile(dir=work) as request, tempfile.TemporaryFile(dir=work) as complaints:
        request.write(job)
        request.seek(0)
        child = subprocess.Popen(
            command, stdin=request, stdout=subprocess.PIPE, stderr=complaints, env=environment, cwd=work
        )
        overdue = threading.Timer(time_limit_s, child.kill)
        overdue.start()
        try:
            assert child.stdout is not None
            for line in child.stdout:
                said = json.loads(line)
                if "error" in said:
                    kind = StorageError if said["kind"] == StorageError.kind else ConvertError
                    raise kind(said["error"])
                if "row" in said:
                    rows.append(Row(**said["row"]))
                else:
                    doing = said["progress"]
                    progress(doing)
            status = child.wait()
        finally:
            in_time = overdue.is_alive()
            overdue.cancel()
            child.kill()
            child.wait()
            child.stdout.close()  # type: ignore[union-attr]
        if status != 0:
            complaints.seek(0)
            raise ConvertError(
                f"the conversion ended while {doing}: "
                f"{_ending(status, in_time, time_limit_s, complaints.read())}; "
                "choose another recipe for this device class."
            )
    return rows


def _ending(status: int, in_time: bool, time_limit_s: float, complaints: bytes) -> str:
    if not in_time:
        return f"it took longer than {time_limit_s:.0f} s"
    if status < 0:
        killed = " (out of memory?)" if -status == signal.SIGKILL else ""
        return f"its process died of {signal.Signals(-status).name}{killed}"
    lines = complaints.decode(errors="replace").strip().splitlines()
    return (
        f"its process failed with {lines[-1][:300]}" if lines else f"its process ended with status {status}"
    )
