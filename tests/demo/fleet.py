"""The three devices of the embedded inventory as the demo looks at them, from outside."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import psutil
from outcome import NotAsItShouldBeError, expect

REPO = Path(__file__).resolve().parents[2]
ROOTS = REPO / ".edgeai"
RELEASE = "label-reader"
DEPOT_PORT = 9000


@dataclass(frozen=True)
class Device:
    name: str
    line: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def edgeai(self) -> Path:
        """The device's own command."""
        return ROOTS / self.name / "opt/edgeai/bin/edgeai"

    def status(self) -> Dict[str, Any]:
        """What `edgeai status` on the device says."""
        try:
            done = subprocess.run(
                [self.edgeai, "--json", "status"], capture_output=True, text=True, check=False
            )
            answer: Dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        except (OSError, IndexError, ValueError) as error:
            raise NotAsItShouldBeError(f"{self.name} does not say how it is ({error})") from None
        expect(answer.get("ok") is True, f"{self.name} does not say how it is ({answer.get('error')})")
        return answer

    def journal(self, *events: str) -> List[Dict[str, Any]]:
        """What was done to the device, of these kinds, oldest first."""
        path = ROOTS / self.name / "var/lib/edgeai/journal.jsonl"
        entries = map(json.loads, path.read_text().splitlines())
        return [entry for entry in entries if entry["event"] in events]

    def last_trial(self) -> Tuple[datetime, datetime]:
        """From when to when the newest trial lasted."""
        began = self.journal("switched")[-1]
        ended = self.journal("confirmed", "reverted")[-1]
        return datetime.fromisoformat(began["time"]), datetime.fromisoformat(ended["time"])


PI = Device("line1-pi", "line-1", 9001)
JETSON = Device("line1-jetson", "line-1", 9002)
PC = Device("line2-pc", "line-2", 9003)
DEVICES = (PI, JETSON, PC)
CANARY = PI


def wait_until_settled(timeout_s: float = 30) -> None:
    """Wait until no device is on its way to another generation."""
    deadline = time.monotonic() + timeout_s
    while any(device.status()["phase"] == "starting" for device in DEVICES):
        expect(time.monotonic() < deadline, f"a device is still starting a generation after {timeout_s:g} s")


def expect_all(version: Optional[str]) -> None:
    """That every device serves this version of the release (None: no model), confirmed."""
    for device in DEVICES:
        status = device.status()
        found, phase = status["models"].get(RELEASE), status["phase"]
        expect(
            (found, phase) == (version, "confirmed"),
            f"{device.name} serves {RELEASE} {found} ({phase}), expected {version} (confirmed)",
        )


def expect_waves() -> str:
    """That the newest rollout took the canary first and one device of a line at a time; says so."""
    trials = {device: device.last_trial() for device in DEVICES}
    for device, (began, _ended) in trials.items():
        expect(
            device is CANARY or began > trials[CANARY][1],
            f"{device.name} was switched before the canary {CANARY.name} was confirmed",
        )
    for one in DEVICES:
        for other in DEVICES:
            apart = trials[one][1] < trials[other][0] or trials[other][1] < trials[one][0]
            expect(
                one is other or one.line != other.line or apart,
                f"{one.name} and {other.name} of {one.line} were on trial at the same time",
            )
    order = sorted(DEVICES, key=lambda device: trials[device][0])
    return f"order: {', then '.join(device.name for device in order)}; never two of one line on trial at once"


def homes() -> List[Path]:
    """The directories of devices and depot that exist; the bundle is the workstation's and stays."""
    return [path for path in sorted(ROOTS.glob("*")) if path.name != "bundle"]


def left_behind() -> List[str]:
    """What of the fleet is still there: directories, processes, ports, sockets; empty when all is gone."""
    found = [str(path.relative_to(REPO)) for path in homes()]
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if f"{ROOTS}/" in line:
            found.append(f"process {process.pid} ({line[:80]})")
    found += [f"port {port}" for port in taken_ports()]
    with open("/proc/self/net/unix", encoding="utf-8") as sockets:
        found += [f"socket {line.split()[-1]}" for line in sockets if f"{ROOTS}/" in line]
    return found


def taken_ports() -> List[int]:
    """Those of the fleet's ports on which somebody listens."""
    taken = []
    for port in (DEPOT_PORT, *(device.port for device in DEVICES)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                taken.append(port)
    return taken
