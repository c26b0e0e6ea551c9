"""What the keeper asks of the machine, and tells it."""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import time
from pathlib import Path


def uptime() -> float:
    """Seconds since boot, sleep included: what a trial's deadline is measured with."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def available_mb() -> float:
    """What a new process can have, in MiB (MemAvailable of proc(5))."""
    found = re.search(rb"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_bytes())
    return int(found[1]) / 1024 if found else math.inf


def notify(message: str) -> None:
    """Tell systemd (sd_notify(3)); without systemd nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.sendto(message.encode(), "\0" + address[1:] if address[0] == "@" else address)
