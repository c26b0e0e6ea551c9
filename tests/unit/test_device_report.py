"""What a device did, signed by it, as the controller takes it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

pytest.importorskip("edgeai_runtime", reason="a report is made and checked by the real runtime")

from edgeai_runtime.paths import Paths
from edgeai_runtime.report import make_report, public_key

STATUS = {"name": "pi-1", "phase": "confirmed"}


@pytest.fixture
def signed(device: Any) -> Callable[[], Paths]:
    """Have the device's `edgeai` answer with a report that the runtime really made."""
    paths = Paths(device.root)

    def make() -> Paths:
        made = make_report(paths, STATUS, paths.var / "report.json")
        key = {"ok": True, "public_key": public_key(paths, "pi-1")}
        device.answers(key, {"ok": True, "changed": True, "report": made.report})
        return paths

    return make


@pytest.fixture
def bring(device: Any, run_action: Any, tmp_path: Path) -> Callable[..., Dict[str, Any]]:
    def bring(**options: Any) -> Dict[str, Any]:
        result: Dict[str, Any] = run_action(
            "device_report",
            root=str(device.root),
            directory=str(tmp_path / "reports"),
            keys_directory=str(tmp_path / "keys"),
            variables={"inventory_hostname": "pi-1"},
            **options,
        )
        (device.root / "asked").unlink(missing_ok=True)
        return result

    return bring


def test_a_report_is_brought_checked_and_its_key_pinned(signed: Any, bring: Any, tmp_path: Path) -> None:
    paths = signed()
    result = bring()
    assert result["changed"] is True, result
    report, pinned = tmp_path / "reports/pi-1.json", tmp_path / "keys/pi-1.pub"
    assert result["path"] == str(report)
    assert result["msg"].startswith(f"pinned the device's key in {pinned}; brought {report} with ")
    assert sorted(path.name for path in report.parent.iterdir()) == ["pi-1.json", "pi-1.json.sig"]
    allowed = tmp_path / "allowed"
    allowed.write_text(f"pi-1 {pinned.read_text()}")
    command = ["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "pi-1", "-n", "edgeai-report"]
    subprocess.run([*command, "-s", f"{report}.sig"], stdin=report.open(), check=True)
    assert not (paths.var / "report.json").exists()  # nothing stays on the device


def test_the_next_one_takes_its_place(signed: Any, bring: Any) -> None:
    signed()
    bring()
    signed()
    result = bring()
    assert "pinned" not in result["msg"]
    assert result["changed"] is True


def test_another_key_than_the_pinned_one_is_refused(signed: Any, bring: Any, tmp_path: Path) -> None:
    paths = signed()
    bring()
    report = (tmp_path / "reports/pi-1.json").read_bytes()
    for name in ("report_key", "report_key.pub"):
        (paths.var / name).unlink()
    signed()
    result = bring()
    assert (result["failed"], result["kind"]) == (True, "untrusted")
    assert f"signs with another key than the one pinned in {tmp_path / 'keys/pi-1.pub'}" in result["msg"]
    assert (tmp_path / "reports/pi-1.json").read_bytes() == report


def test_one_that_was_changed_is_refused_and_the_last_one_stays(
    signed: Any, bring: Any, tmp_path: Path
) -> None:
    signed()
    bring()
    before = {path: path.read_bytes() for path in (tmp_path / "reports").iterdir()}
    made = signed().var / "report.json"
    made.write_bytes(made.read_bytes().replace(b"confirmed", b"trial"))
    result = bring()
    assert (result["failed"], result["kind"]) == (True, "untrusted")
    assert {path: path.read_bytes() for path in (tmp_path / "reports").iterdir()} == before


def test_check_mode_brings_nothing(signed: Any, bring: Any, tmp_path: Path) -> None:
    signed()
    result = bring(check=True)
    assert (result["changed"], result["msg"]) == (
        True,
        f"would bring a signed report to {tmp_path / 'reports/pi-1.json'}",
    )
    assert not (tmp_path / "keys").exists()
