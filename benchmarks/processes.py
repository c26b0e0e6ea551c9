"""A server's processes on a core of their own: started, weighed and ended with all their children."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

_PATIENCE_S = 10.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None)


def cores() -> Tuple[int, int]:
    """The server's and the client's: two physical ones, or the same where there is one only."""
    allowed = sorted(os.sched_getaffinity(0))
    server = allowed[0]
    apart = [core for core in allowed if _physical(core) != _physical(server)]
    return server, apart[0] if apart else allowed[-1]


def _settle(core: int) -> None:
    """What a server does to itself before it starts: it keeps to its core and does not outlive us."""
    os.sched_setaffinity(0, {core})
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _physical(core: int) -> Tuple[str, ...]:
    topology = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    names = ("physical_package_id", "core_id")
    return tuple(path.read_text() for path in (topology / name for name in names) if path.exists())


class Processes:
    """A command and whatever it starts."""

    def __init__(
        self, command: Sequence[str], variables: Mapping[str, str], core: int, log: Path, cwd: Path
    ) -> None:
        """Starts it, pinned to `core`; what it says goes to `log`."""
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **variables},
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _settle(core),
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def said(self) -> List[str]:
        """The lines it has written so far."""
        return self._log.read_text(errors="replace").splitlines()

    def pss_mb(self) -> float:
        """The memory of all of them; what several share counts once."""
        total = 0
        for pid in self._tree():
            with contextlib.suppress(OSError):  # gone since
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total * 1024 / 1e6

    def cpu_s(self) -> float:
        """The processor time that all of them have used, in seconds."""
        ticks = 0
        for pid in self._tree():
            with contextlib.suppress(OSError):
                ticks += sum(map(int, _stat(pid)[11:13]))  # utime, stime
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Ask politely, then insist."""
        tree = self._tree()
        with contextlib.suppress(OSError):
            self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_S
        while any(map(_runs, tree)) and time.monotonic() < deadline:
            self._process.poll()
            time.sleep(0.02)
        for pid in filter(_runs, tree):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _tree(self) -> List[int]:
        """Our process and all that come from it."""
        children: Dict[int, List[int]] = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(path.name))[1]), []).append(int(path.name))
        tree = [self._process.pid]
        for pid in tree:  # grows while it is walked
            tree += children.get(pid, [])
        return tree


def _stat(pid: int) -> List[str]:
    """The fields of /proc/PID/stat behind the command's name: state, parent, … (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _runs(pid: int) -> bool:
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False
