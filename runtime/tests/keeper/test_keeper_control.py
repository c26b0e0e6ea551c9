"""The control socket and the command line."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
from keeper_device import PATIENCE_S, Device

from edgeai_runtime.environments.commands import keeper_archive
from edgeai_runtime.errors import KeeperError
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.paths import Paths


def keeper_file(root: Path) -> List[str]:
    """The file itself, as provisioning copies it: nothing but the standard library is there."""
    file = root / "keeper"
    file.write_bytes(keeper_archive())
    return [sys.executable, "-I", "-S", str(file)]


def run_keeper(root: Path, http: str = "127.0.0.1:0") -> subprocess.CompletedProcess[str]:
    return told([*keeper_file(root), "--root", str(root), "--http", http])


def told(command: List[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_a_second_keeper_on_the_same_root_is_refused_with_one_sentence(device: Device) -> None:
    status = device.start()
    second = run_keeper(device.paths.root)
    expected = (
        f"keeper: process {status['pid']} is the keeper of {device.paths.root} already; stop it first.\n"
    )
    assert (second.returncode, second.stderr) == (1, expected)
    assert device.status()["pid"] == status["pid"]


def test_a_socket_left_by_a_killed_keeper_is_replaced(device: Device) -> None:
    device.start()
    device.kill()
    assert device.paths.control.exists()
    assert device.start()["phase"] == "idle"


def test_the_control_socket_is_for_the_keepers_user_only(device: Device) -> None:
    device.start()
    assert stat.S_IMODE(device.paths.control.stat().st_mode) == 0o600


def test_a_root_longer_than_a_socket_path_works(tmp_path: Path) -> None:
    root = tmp_path / ("a" * 100) / ("b" * 100)
    root.mkdir(parents=True)
    device = Device(root)
    device.write_generation(1)
    device.start()
    try:
        device.confirmed(1)
        assert device.infer().generation == 1
    finally:
        assert device.stop() == 0


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"command": "dance"}, "unknown command 'dance', expected one of: status, switch, confirm, revert."),
        ({}, "unknown command None"),
        ({"command": ["status"]}, "unknown command"),
        ({"command": "switch"}, "generation is None, expected a whole number from 0; correct the request."),
        ({"command": "switch", "generation": "2"}, "generation is '2'"),
        ({"command": "switch", "generation": True}, "generation is True"),
        (
            {"command": "switch", "generation": 2, "deadline_s": -1},
            "deadline_s is -1, expected a number from 0",
        ),
        ({"command": "switch", "generation": 2, "deadline_s": float("nan")}, "deadline_s is nan"),
        ({"command": "switch", "generation": 2, "soak": 3}, "soak is 3, expected an object"),
        ({"command": "switch", "generation": 2, "soak": {"min_requests": "x"}}, "min_requests is 'x'"),
    ],
)
def test_a_wrong_request_is_answered_with_one_sentence(
    device: Device, request_: Dict[str, Any], sentence: str
) -> None:
    device.start()
    with pytest.raises(KeeperError) as caught:
        device.client.request(request_)
    assert sentence in caught.value.message


@pytest.mark.parametrize("line", [b"status\n", b"[1]\n", b"\xff\n", b"[" * 5000 + b"\n", b"", b"x" * 100_000])
def test_the_keeper_survives_any_line(device: Device, line: bytes) -> None:
    device.start()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(str(device.paths.control))
        connection.sendall(line)
        if line.endswith(b"\n"):
            assert json.loads(connection.recv(1000))["ok"] is False
    assert device.status()["phase"] == "idle"


def test_a_client_that_goes_away_during_a_switch_changes_nothing(device: Device) -> None:
    gate = device.paths.root / "go"
    device.write_generation(1, ready_when=str(gate))
    device.start()
    with pytest.raises(KeeperError, match=r"did not answer within 0\.2 s"):
        device.client.request({"command": "switch", "generation": 1}, timeout_s=0.2)
    gate.touch()
    device.wait_status(lambda s: s["phase"] == "trial", "the switch to be done")


def test_without_a_keeper_the_client_says_what_to_do(device: Device) -> None:
    expected = f"{device.paths.control}: the keeper is not running; start its service, then try again."
    with pytest.raises(KeeperError) as caught:
        device.status()
    assert caught.value.message == expected
    device.start()
    device.kill()
    with pytest.raises(KeeperError) as caught:
        device.status()
    assert caught.value.message == expected
    assert KeeperClient(Paths(Path("/nowhere"))) is not None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            '{"schema": 2}',
            "has schema 2 and this keeper knows 1; provision the device with the version that wrote it.",
        ),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
    ],
)
def test_a_state_it_cannot_read_stops_the_keeper_with_one_sentence(
    tmp_path: Path, content: str, sentence: str
) -> None:
    path = Paths(tmp_path).state
    path.parent.mkdir(parents=True)
    path.write_text(content)
    result = run_keeper(tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"keeper: {path}")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert path.read_text() == content


def test_an_address_without_a_port_is_refused(tmp_path: Path) -> None:
    result = run_keeper(tmp_path, "localhost")
    assert (result.returncode, result.stderr) == (
        1,
        "keeper: 'localhost' is not where HTTP can be served; write it as HOST:PORT.\n",
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--http is missing; see keeper --help."),
        (["--http", "127.0.0.1:0", "now"], "'now' belongs to no option; see keeper --help."),
        (["--port", "1"], "option --port not recognized; see keeper --help."),
    ],
)
def test_a_wrong_command_line_is_answered_with_one_sentence(
    tmp_path: Path, words: List[str], sentence: str
) -> None:
    result = told([*keeper_file(tmp_path), *words])
    assert (result.returncode, result.stderr) == (2, f"keeper: {sentence}\n")


def test_its_help_names_every_option(tmp_path: Path) -> None:
    result = told([*keeper_file(tmp_path), "--help"])
    assert result.returncode == 0
    assert all(option in result.stdout for option in ("--http", "--root", "--actor"))


def test_the_keeper_takes_at_most_15_mb(device: Device) -> None:
    """As it runs on a device, with a generation that serves."""
    device.write_generation(1)
    device.start(command=keeper_file(device.paths.root))
    device.confirmed(1)
    status = device.wait_status(lambda s: s["serving"], "a heartbeat")
    lines = Path(f"/proc/{status['pid']}/status").read_text().splitlines()
    (resident,) = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")]
    assert resident <= 15_000_000
