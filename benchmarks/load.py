"""Load by wrk, which sends as fast as it is answered."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from benchmarks.environments import UnavailableError
from benchmarks.wires import Message, Wire

_SCRIPT = Path(__file__).resolve().with_suffix(".lua")


@dataclass(frozen=True)
class Loaded:
    """What one run gave. `errors`: one sentence, or empty."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    errors: str = ""


def have_wrk() -> None:
    """Install it where that is possible. Raises UnavailableError, which says what to type."""
    if shutil.which("wrk"):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UnavailableError("The load comes from wrk, which is not here; type: sudo apt install wrk")
    print("Installing wrk, which makes the load …", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", "wrk"]):
        done = subprocess.run(["apt-get", "-qq", *words], env=quiet, capture_output=True, check=False)
        if done.returncode:
            raise UnavailableError(f"apt-get {words[0]} failed, and wrk is needed; install it by hand.")


class Load:
    """Requests of one kind for one server, numbered on from run to run."""

    def __init__(self, port: int, path: str, wire: Wire, messages: Sequence[Message], file: Path) -> None:
        """`messages` are sent in turn, as this wire puts them; `file` is written for load.lua."""
        hole = len(wire.number(0))
        self._url = f"http://127.0.0.1:{port}{path}"
        self._kind = "text" if wire.in_text else "binary"
        self._file = file
        pieces = []
        for message in messages:
            headers = {"Host": f"127.0.0.1:{port}", **message.headers}
            headers["Content-Length"] = str(len(message.body))
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            before = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + message.body[: message.hole]
            after = message.body[message.hole + hole :]
            pieces.append(b"%d %d\n%s%s" % (len(before), len(after), before, after))
        file.write_bytes(b"".join(pieces))

    def start(self, connections: int, seconds: float, first: int, same: bool) -> subprocess.Popen[str]:
        """Begin to send, numbered from `first` on; with `same` one and the same request always."""
        wrk = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={math.ceil(seconds)}s"]
        wrk += ["--timeout=20s", f"--script={_SCRIPT}", self._url, "--"]
        wrk += [str(self._file), self._kind, str(first), "0" if same else "1"]
        return subprocess.Popen(wrk, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(wrk: subprocess.Popen[str]) -> Loaded:
    """Wait for the end of a run and read what it says."""
    output = wrk.communicate()[0]
    return parse(output.splitlines()) or Loaded(0, 0, 0, f"wrk failed: {output.strip()[-200:]}")


def parse(lines: Sequence[str]) -> Optional[Loaded]:
    """The last result among lines that load.lua, or one that speaks like it, has written."""
    line = next((line for line in reversed(lines) if line.startswith("RESULT ")), None)
    if line is None:
        return None
    requests, duration, p50, p99, *counts = map(int, line.split()[1:])
    names = ("connections refused", "failed reads", "failed writes", "timeouts", "answers with an error")
    errors = ", ".join(f"{count} {name}" for count, name in zip(counts, names) if count)
    if not requests and not errors:
        errors = "no answer"
    return Loaded(requests / (duration / 1e6), p50 / 1e3, p99 / 1e3, errors)
