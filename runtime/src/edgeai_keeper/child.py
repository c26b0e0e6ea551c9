"""One serving process and the channels to it."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, List

from edgeai_keeper.basics import LINE_LIMIT, Json, Refused, parse_line


class Child:
    """A generation's process. JSON lines go both ways over a socket pair; no method waits.

    `samples` are what it must know (see load_samples); over `aside` it answers before it accepts.
    `give_up` is called in it before anything else, since the keeper has more rights than it shall have.
    """

    def __init__(
        self,
        generation: int,
        command: List[str],
        listeners: List[socket.socket],
        samples: List[Json],
        give_up: Callable[[], None],
    ) -> None:
        self.generation, self.samples = generation, samples
        self.ready = False
        self.heard = time.monotonic()
        self.heartbeat: Json = {}
        self.failure = ""  # its own words
        self.kill_at = math.inf
        self.rest = b""
        self.channel, theirs = socket.socketpair()
        self.aside, their_aside = socket.socketpair()
        for end in (self.channel, self.aside):
            end.setblocking(False)
        numbers = [listener.fileno() for listener in listeners]
        options = [word for fd in numbers for word in ("--listen-fd", str(fd))]
        of_systemd = ("NOTIFY_", "LISTEN_", "WATCHDOG_")  # meant for the keeper alone
        environment = {key: value for key, value in os.environ.items() if not key.startswith(of_systemd)}
        environment["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            self.process = subprocess.Popen(
                [*command, *options, f"--control-fd={theirs.fileno()}", f"--probe-fd={their_aside.fileno()}"],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                pass_fds=[*numbers, theirs.fileno(), their_aside.fileno()],
                env=environment,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the keeper, which drains the child
                preexec_fn=give_up,  # safe: the keeper has one thread
            )
        except (OSError, subprocess.SubprocessError) as error:
            self.channel.close()
            self.aside.close()
            raise Refused(f"{command[0]} cannot be started ({getattr(error, 'strerror', error)})") from None
        finally:
            theirs.close()
            their_aside.close()

    def worked(self) -> int:
        """Inferences so far: an answer that was remembered is none. An older runtime tells requests alone."""
        beat = self.heartbeat
        return int(beat["inferences"] if "inferences" in beat else beat.get("requests", 0))

    def messages(self) -> List[Json]:
        """What it has said since the last call; a line that is no JSON object is passed over."""
        for _turn in range(16):  # more than the socket's buffer holds, yet not without end
            try:
                data = self.channel.recv(LINE_LIMIT)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.channel.close()
                break
            self.rest += data
        *lines, self.rest = self.rest.split(b"\n")
        self.rest = self.rest[-LINE_LIMIT:]
        return [message for message in map(parse_line, lines) if message is not None]

    def ended(self) -> str:
        """How it ended; empty while it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        return f"{self.failure} ({how})" if self.failure else f"its process ended ({how})"


def orphans(root: Path) -> List[int]:
    """Serving processes of this root whose keeper was killed: until they end they hold the port."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            if b"\0--root\0%b\0serve\0" % os.fsencode(root) in command and b"\0--listen-fd\0" in command:
                found.append(int(entry.name))
    return found
