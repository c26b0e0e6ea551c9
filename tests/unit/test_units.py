"""The units that the role runtime writes, judged by systemd itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

REPO = Path(__file__).resolve().parents[2]
ROLES = REPO / "roles"
NO_ACCELERATOR = {"systemd": 257, "nv_tegra_release": "", "gpus": []}

Write = Callable[..., Path]


@pytest.fixture
def write(play: Callable[..., Any], tmp_path: Path) -> Write:
    """Write the units for a device of a class, with what was measured on it; returns their directory."""

    def run(device_class: str, measured: Dict[str, Any], **variables: Any) -> Path:
        tasks = [
            {"ansible.builtin.include_vars": str(file)}
            for file in (
                ROLES / "runtime/defaults/main.yml",
                ROLES / f"{device_class}/vars/profile.yml",
                ROLES / "runtime/vars/main.yml",
            )
        ]
        tasks += [
            {
                "ansible.builtin.template": {
                    "src": str(ROLES / f"runtime/templates/program.{kind}.j2"),
                    "dest": str(tmp_path / f"edgeai-keeper.{kind}"),
                }
            }
            for kind in ("socket", "service")
        ]
        given = {
            "runtime_class": device_class,
            "runtime_python": sys.executable,
            "__runtime_device": {**NO_ACCELERATOR, **measured},
            "__runtime_environment": {"actions": []},
            "__runtime_place": {"files": []},
            "__runtime_bundle": {"readable": False},
            **variables,
        }
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        extra = tmp_path / "extra.json"
        extra.write_text(json.dumps(given))
        plays = [{"hosts": "device", "gather_facts": False, "tasks": tasks}]
        done = play(plays, {"all": {"hosts": {"device": here}}}, "-e", f"@{extra}")
        assert done.returncode == 0, done.stdout + done.stderr
        return tmp_path

    return run


def exposure(unit: Path) -> float:
    """What `systemd-analyze security` says of a unit's file; skips where systemd is too old to (250)."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"systemd-analyze does not judge files: {done.stderr.strip()}")
    return float(found.group(1))


@pytest.mark.parametrize("device_class", ["raspberry_pi", "industrial_pc", "jetson"])
def test_without_an_accelerator_the_sandbox_is_all_but_closed(write: Write, device_class: str) -> None:
    assert exposure(write(device_class, {}) / "edgeai-keeper.service") <= 0.5


@pytest.mark.parametrize(
    ("device_class", "measured", "node"),
    [
        ("jetson", {"nv_tegra_release": "# R36 (release), REVISION: 3.0"}, "/dev/nvmap"),
        ("industrial_pc", {"gpus": [{"vendor": "nvidia"}]}, "char-nvidia*"),
    ],
)
def test_an_accelerator_opens_its_nodes_alone(
    write: Write, device_class: str, measured: Dict[str, Any], node: str
) -> None:
    unit = write(device_class, measured) / "edgeai-keeper.service"
    assert f"DeviceAllow={node} rw" in unit.read_text().splitlines()
    assert exposure(unit) <= 1.5


def test_the_port_is_the_sockets_alone(write: Write) -> None:
    """Else another port would need another service; the service restarts with its socket."""
    units = write("raspberry_pi", {}, runtime_http="[::1]:80")
    assert "ListenStream=[::1]:80" in (units / "edgeai-keeper.socket").read_text().splitlines()
    service = (units / "edgeai-keeper.service").read_text()
    assert "PrivateNetwork=yes" in service
    assert "Requires=edgeai-keeper.socket" in service


def test_programs_on_the_device_have_a_unix_socket(write: Write) -> None:
    units = write("raspberry_pi", {})
    listens = [line for line in (units / "edgeai-keeper.socket").read_text().splitlines() if "Listen" in line]
    assert listens == ["ListenStream=127.0.0.1:8080", "ListenStream=/run/edgeai/http.sock"]
    # Stopping the service alone must not take the socket's directory away.
    assert "RuntimeDirectoryPreserve=yes" in (units / "edgeai-keeper.service").read_text().splitlines()


def test_the_watchdog_waits_for_the_keepers_longest_pause(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would kill, again and again, a keeper that is about to start what failed once more."""
    monkeypatch.syspath_prepend(str(REPO / "runtime/src"))
    from edgeai_keeper.keeper import Timing

    unit = (write("raspberry_pi", {}) / "edgeai-keeper.service").read_text()
    watchdog = re.search(r"^WatchdogSec=(\d+)$", unit, re.MULTILINE)
    assert watchdog is not None
    notified_each = 1.0  # second, and looked at with each tick
    assert Timing().backoff_last + notified_each + Timing().tick < float(watchdog[1])


def test_every_exception_says_why(write: Write) -> None:
    lines = (write("industrial_pc", {"gpus": [{"vendor": "nvidia"}]}) / "edgeai-keeper.service").read_text()
    for setting in ("ProcSubset=all", "PrivateDevices=no", "MemoryDenyWriteExecute=no"):
        before = lines.partition(f"\n{setting}")[0].rpartition("\n\n")[2]
        assert "# Exception:" in before, setting
