"""A report says what a device did, and shows when somebody changed it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict

import pytest

from edgeai_runtime.durable import append_journal
from edgeai_runtime.errors import InputError, TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.report import check_report, make_report, public_key

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="signing takes OpenSSH's ssh-keygen")
STATUS: Dict[str, Any] = {"name": "pi-1", "phase": "confirmed", "alarms": []}


@pytest.fixture
def device(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "device")
    for number in range(5):
        append_journal(paths, "step", number=number, said="Größe, \ud800")
    return paths


@pytest.fixture
def report(device: Paths, tmp_path: Path) -> Path:
    make_report(device, STATUS, tmp_path / "report.json")
    return tmp_path / "report.json"


@pytest.fixture
def key(device: Paths, tmp_path: Path) -> Path:
    file = tmp_path / "pi-1.pub"
    file.write_text(public_key(device, "pi-1") + "\n")
    return file


def change(report: Path, **fields: Any) -> None:
    told = json.loads(report.read_text())
    report.write_text(json.dumps({**told, **fields}, indent=1, ensure_ascii=False) + "\n")


def sign(device: Paths, report: Path) -> None:
    """As somebody would who has the device's key."""
    report.with_name(f"{report.name}.sig").unlink()
    key = str(device.var / "report_key")
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "edgeai-report", str(report)], check=True
    )


def test_it_holds_status_and_journal_and_is_signed(report: Path, key: Path) -> None:
    told = json.loads(report.read_text())
    assert told["status"] == STATUS
    assert [json.loads(line)["number"] for line in told["journal"]] == [0, 1, 2, 3, 4]
    checked = check_report(report, key)
    assert (checked.device, checked.lines) == ("pi-1", 5)


def test_anybody_with_openssh_can_check_it(report: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "allowed").write_text(f"pi-1 {key.read_text()}")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "pi-1"]
    command += ["-n", "edgeai-report", "-s", f"{report}.sig"]
    done = subprocess.run(command, input=report.read_bytes(), stdout=subprocess.PIPE, check=True)
    assert b'Good "edgeai-report" signature' in done.stdout


def test_the_private_key_is_for_the_device_alone_and_stays(device: Paths, report: Path, key: Path) -> None:
    private = device.var / "report_key"
    assert private.stat().st_mode & 0o077 == 0
    assert private.read_text() not in report.read_text()
    assert public_key(device, "pi-1") == key.read_text().strip()


def test_only_the_days_asked_for_are_in_it(device: Paths, tmp_path: Path, key: Path) -> None:
    old = device.journal.read_text().splitlines()
    make_report(device, STATUS, tmp_path / "new.json", days=1.0)
    assert check_report(tmp_path / "new.json", key).lines == len(old)
    make_report(device, STATUS, tmp_path / "none.json", days=1e-9)
    assert check_report(tmp_path / "none.json", key).lines == 0


def test_a_report_that_was_changed_is_refused(report: Path, key: Path) -> None:
    change(report, device="pi-2")
    with pytest.raises(TrustError, match="the signature is not that of"):
        check_report(report, key)


def test_another_devices_report_is_refused(report: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pub"
    other.write_text(public_key(Paths(tmp_path / "other"), "pi-2"))
    with pytest.raises(TrustError, match="the signature is not that of"):
        check_report(report, other)


def test_a_damaged_device_is_reported_too(device: Paths, tmp_path: Path, key: Path) -> None:
    device.state.write_text("{")
    directory = device.generation(3)
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text("{")
    make_report(device, STATUS, tmp_path / "damaged.json")
    told = json.loads((tmp_path / "damaged.json").read_text())
    assert told["state"] == "{"
    assert told["generations"][0]["generation"] == 3
    assert str(directory) in told["generations"][0]["damaged"]
    assert check_report(tmp_path / "damaged.json", key).lines == 5


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_line_that_was_taken_out_is_missed_even_under_a_right_signature(
    device: Paths, report: Path, key: Path, gone: int
) -> None:
    lines = json.loads(report.read_text())["journal"]
    change(report, journal=lines[:gone] + lines[gone + 1 :])
    sign(device, report)
    with pytest.raises(TrustError, match=f"line {gone + 1} of the journal does not follow"):
        check_report(report, key)


def test_a_line_that_was_changed_is_missed(device: Paths, report: Path, key: Path) -> None:
    lines = json.loads(report.read_text())["journal"]
    change(report, journal=[*lines[:2], lines[2].replace('"step"', '"stop"'), *lines[3:]])
    sign(device, report)
    with pytest.raises(TrustError, match="line 4 of the journal does not follow"):
        check_report(report, key)


def test_lines_of_a_runtime_that_linked_none_may_come_first(device: Paths, tmp_path: Path, key: Path) -> None:
    linked = device.journal.read_text()
    device.journal.write_text('{"time": "2026-01-01", "event": "old"}\n' * 2)
    append_journal(device, "step")
    make_report(device, STATUS, tmp_path / "mixed.json")
    assert check_report(tmp_path / "mixed.json", key).lines == 3
    assert linked


def test_what_is_not_there_is_named(report: Path, tmp_path: Path, key: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pub: there is no such file"):
        check_report(report, tmp_path / "none.pub")
    Path(f"{report}.sig").unlink()
    with pytest.raises(InputError, match=r"report\.json\.sig: there is no such file"):
        check_report(report, key)


def test_a_machine_without_openssh_is_told_so(
    report: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="There is no ssh-keygen here"):
        check_report(report, key)
