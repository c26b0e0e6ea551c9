"""Stop processes just before each system call that changes a file below a directory (ptrace(2)).

A seccomp filter lets all other calls pass at full speed. When a call below the directory is met,
every traced process is stopped, so that what lies on the disk is what a power cut would find.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import struct
import sys
from collections import deque
from pathlib import Path
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

# Where a call says what it changes: ("fd", argument), ("path", argument), ("at", directory, path), ("all",).
Place = Tuple[object, ...]
FD: Place = ("fd", 0)
CALLS: Dict[str, Tuple[Place, int, int]] = {  # with its number on x86-64 and on aarch64, -1 where it has none
    "open": (("path", 0), 2, -1),
    "openat": (("at", 0, 1), 257, 56),
    "creat": (("path", 0), 85, -1),
    "write": (FD, 1, 64),
    "pwrite64": (FD, 18, 68),
    "writev": (FD, 20, 66),
    "pwritev": (FD, 296, 70),
    "pwritev2": (FD, 328, 287),
    "sendfile": (FD, 40, 71),
    "copy_file_range": (("fd", 2), 326, 285),
    "ftruncate": (FD, 77, 46),
    "truncate": (("path", 0), 76, 45),
    "fallocate": (FD, 285, 47),
    "fsync": (FD, 74, 82),
    "fdatasync": (FD, 75, 83),
    "sync": (("all",), 162, 81),
    "syncfs": (FD, 306, 267),
    "rename": (("path", 1), 82, -1),
    "renameat": (("at", 2, 3), 264, 38),
    "renameat2": (("at", 2, 3), 316, 276),
    "link": (("path", 1), 86, -1),
    "linkat": (("at", 2, 3), 265, 37),
    "symlink": (("path", 1), 88, -1),
    "symlinkat": (("at", 1, 2), 266, 36),
    "unlink": (("path", 0), 87, -1),
    "unlinkat": (("at", 0, 1), 263, 35),
    "mkdir": (("path", 0), 83, -1),
    "mkdirat": (("at", 0, 1), 258, 34),
    "rmdir": (("path", 0), 84, -1),
    "mknod": (("path", 0), 133, -1),
    "mknodat": (("at", 0, 1), 259, 33),
    "chmod": (("path", 0), 90, -1),
    "fchmod": (FD, 91, 52),
    "fchmodat": (("at", 0, 1), 268, 53),
    "chown": (("path", 0), 92, -1),
    "lchown": (("path", 0), 94, -1),
    "fchown": (FD, 93, 55),
    "fchownat": (("at", 0, 1), 260, 54),
    "utimensat": (("at", 0, 1), 280, 88),
}
MACHINES = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}  # column in CALLS, AUDIT_ARCH_…
OPENS = {"open": 1, "openat": 2}  # which argument holds the flags
AT_FDCWD = -100

SEIZE, INTERRUPT, CONT, GETEVENTMSG, GET_SYSCALL_INFO = 0x4206, 0x4207, 7, 0x4201, 0x420E
FORK, VFORK, CLONE, EXEC, VFORK_DONE, SECCOMP = 1, 2, 3, 4, 5, 7  # PTRACE_EVENT_…
EXITKILL = 20
OPTIONS = sum(1 << option for option in (FORK, VFORK, CLONE, EXEC, VFORK_DONE, SECCOMP, EXITKILL))
_WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Call(NamedTuple):
    """A system call about to be made: its name and the path it changes, below the root."""

    name: str
    path: str


def missing_for_tracing() -> str:
    """Why nothing can be traced here; empty where it can."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return "ptrace's calls are known here for Linux on x86-64 and aarch64 only"
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    refused = ctypes.get_errno() if _libc.ptrace(SEIZE, pid, None, None) else 0
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"ptrace is refused here ({os.strerror(refused)})" if refused else ""


class Tracer:
    """Runs processes; while `watching`, `at_call` is called before each that changes what lies below `root`.

    What lies `besides` does not count: a reboot empties it anyway.
    """

    def __init__(self, root: Path, at_call: Callable[[Call], None], besides: Path) -> None:
        self._root, self._besides, self._at_call = f"{root}/", f"{besides}/", at_call
        column, self._arch = MACHINES[platform.machine()]
        self._names = {entry[column]: name for name, entry in CALLS.items() if entry[column] >= 0}
        self._running: Set[int] = set()
        self._vforking: Set[int] = set()  # they sleep in the kernel until their child executes or ends
        self._stopped: Deque[Tuple[int, int]] = deque()
        self._ended: Dict[int, int] = {}
        self.watching = False

    def start(self, command: Sequence[str], log: Path, **variables: str) -> int:
        """Start a traced process; its pid. What it says goes to `log`."""
        reading, writing = os.pipe()
        program, head = self._filter()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        pid = os.fork()
        if pid == 0:
            try:
                os.close(writing)
                os.read(reading, 1)  # until it is traced
                for number in (1, 2):
                    os.dup2(output, number)
                _libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
                _libc.prctl(22, 2, ctypes.byref(head), 0, 0)  # PR_SET_SECCOMP: a filter
                os.execve(command[0], list(command), {**os.environ, **variables})
            finally:
                os._exit(127)
        del program  # `head` points to it; the child has its own copy of both
        os.close(output)
        os.close(reading)
        self._ptrace(SEIZE, pid, OPTIONS)
        self._running.add(pid)
        os.close(writing)
        return pid

    def run(self, command: Sequence[str], log: Path, **variables: str) -> int:
        """Run a traced command to its end; its exit status."""
        pid = self.start(command, log, **variables)
        self.wait(lambda: pid in self._ended)
        return self._ended[pid]

    def wait(self, until: Callable[[], bool]) -> None:
        """Let everything go on until `until` is true."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        try:
            while not until():
                if not self._stopped:
                    self._collect()
                if self._stopped:
                    self._handle(*self._stopped.popleft())
                else:
                    signal.sigtimedwait([signal.SIGCHLD], 0.02)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def kill(self) -> None:
        """End all that is traced, also what was just being born. This process has no other children now."""
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, _WALL)
                if os.WIFSTOPPED(status):
                    os.kill(pid, signal.SIGKILL)

    def _collect(self) -> None:
        """Take note of what stopped or ended."""
        for pid in list(self._running):
            self._looked_at(pid)

    def _looked_at(self, pid: int) -> bool:
        """Whether there was something to take note of: that it stopped, or ended."""
        try:
            found, status = os.waitpid(pid, os.WNOHANG | _WALL)
        except ChildProcessError:
            self._running.discard(pid)
            return True
        if found:
            self._note(found, status)
        return bool(found)

    def _note(self, pid: int, status: int) -> None:
        if os.WIFSTOPPED(status):
            self._stopped.append((pid, status))
        else:
            self._running.discard(pid)
            self._vforking.discard(pid)
            self._ended[pid] = os.waitstatus_to_exitcode(status)

    def _handle(self, pid: int, status: int) -> None:
        if pid not in self._running:
            return
        event, number = status >> 16, os.WSTOPSIG(status)
        if event in (FORK, VFORK, CLONE):
            message = ctypes.c_ulong()
            if self._ptrace(GETEVENTMSG, pid, ctypes.addressof(message)) == 0:
                self._running.add(message.value)
            if event == VFORK:
                self._vforking.add(pid)
        elif event == VFORK_DONE:
            self._vforking.discard(pid)
        elif event == SECCOMP and self.watching:
            call = self._call(pid)
            if call is not None:
                self._halt_others(pid)
                self._at_call(call)
        self._ptrace(CONT, pid, 0 if event or number == signal.SIGTRAP else number)

    def _halt_others(self, pid: int) -> None:
        """Stop whatever still runs; what it stopped for is handled later.

        Who waits for its vfork(2) child changes nothing, and could not stop before the child went on.
        """
        held = {pid, *self._vforking, *(stopped for stopped, _status in self._stopped)}
        others = self._running - held
        for other in others:
            self._ptrace(INTERRUPT, other, 0)
        while others:
            # Not one after the other: the first thread of a process that was killed ends after all others.
            for other in list(others):
                if self._looked_at(other):
                    others.discard(other)
            if others:
                signal.sigtimedwait([signal.SIGCHLD], 0.001)

    def _call(self, pid: int) -> Optional[Call]:
        info = ctypes.create_string_buffer(88)
        if self._ptrace(GET_SYSCALL_INFO, pid, ctypes.addressof(info), len(info)) <= 0:
            return None
        number, *arguments = struct.unpack_from("<7Q", info.raw, 24)
        name = self._names[number]
        path = f"{self._path(pid, CALLS[name][0], arguments)}/"
        if not path.startswith(self._root) or path.startswith(self._besides):
            return None
        return Call(name, path[len(self._root) : -1])

    def _path(self, pid: int, place: Place, arguments: List[int]) -> str:
        kind, numbers = place[0], [arguments[int(str(index))] for index in place[1:]]
        try:
            if kind == "all":
                return self._root[:-1]
            if kind == "fd":
                return os.readlink(f"/proc/{pid}/fd/{ctypes.c_int(numbers[0]).value}")
            directory = ctypes.c_int(numbers[0]).value if kind == "at" else AT_FDCWD
            base = f"/proc/{pid}/cwd" if directory == AT_FDCWD else f"/proc/{pid}/fd/{directory}"
            text = self._text(pid, numbers[-1]) if numbers[-1] else ""
            return os.path.normpath(text if text.startswith("/") else f"{os.readlink(base)}/{text}")
        except OSError:
            return ""  # gone, or never there: the call will fail

    def _text(self, pid: int, address: int) -> str:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            data = b""
            while b"\0" not in data and len(data) < 4096:
                data += memory.read(4096 - (address + len(data)) % 4096)
        return os.fsdecode(data.split(b"\0")[0])

    def _ptrace(self, request: int, pid: int, data: int, address: int = 0) -> int:
        """-1 where it fails: a process that is gone is none of our business."""
        return int(_libc.ptrace(request, pid, address, data))

    def _filter(self) -> Tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
        """The seccomp filter (BPF): stop for the calls in CALLS; opening counts where it may write."""
        load, equal, any_bit, answer = 0x20, 0x15, 0x45, 0x06
        allow, trace = 0x7FFF0000, 0x7FF00000
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        code = [(load, 0, 0, 4), (equal, 1, 0, self._arch), (answer, 0, 0, allow), (load, 0, 0, 0)]
        for number, name in self._names.items():
            if name in OPENS:
                flags = 16 + 8 * OPENS[name]
                code += [(equal, 0, 4, number), (load, 0, 0, flags), (any_bit, 0, 1, writing)]
                code += [(answer, 0, 0, trace), (answer, 0, 0, allow)]
            else:
                code += [(equal, 0, 1, number), (answer, 0, 0, trace)]
        code.append((answer, 0, 0, allow))
        program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in code))
        head = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(program))
        return program, ctypes.create_string_buffer(head)
