"""What a device converted, as the controller takes it: whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

FINGERPRINT = "f" * 64
MODEL = b"a converted model"
SHA256 = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def shared(device: Any) -> Callable[..., Path]:
    """Have the device's `edgeai` say what it would share, then share it; where it does."""

    def share(content: bytes = MODEL) -> Path:
        place: Path = device.root / "var/lib/edgeai/shared" / FINGERPRINT
        place.mkdir(parents=True, exist_ok=True)
        (place / "conversion.json").write_text("{}")
        (place / SHA256).write_bytes(content)
        told = {
            "ok": True,
            "changed": True,
            "path": str(place),
            "fingerprint": FINGERPRINT,
            "files": [{"sha256": SHA256, "size": len(MODEL)}],
            "actions": [],
        }
        (device.root / "asked").unlink(missing_ok=True)
        device.answers(told, told)
        return place

    return share


@pytest.fixture
def bring(device: Any, run_action: Any, tmp_path: Path) -> Callable[..., Dict[str, Any]]:
    def bring(**options: Any) -> Dict[str, Any]:
        asked = {"name": "label-reader", "version": "1.0.0", "directory": str(tmp_path / "here")}
        result: Dict[str, Any] = run_action("conversion", root=str(device.root), **{**asked, **options})
        return result

    return bring


def test_what_a_device_converted_is_brought_whole(shared: Any, bring: Any, tmp_path: Path) -> None:
    left = shared()
    result = bring()
    place = tmp_path / "here" / FINGERPRINT
    assert (result["changed"], result["path"], result["fingerprint"]) == (True, str(place), FINGERPRINT), (
        result
    )
    assert result["msg"] == f"brought label-reader 1.0.0, 0.0 MB, to {place}"
    assert sorted(path.name for path in place.iterdir()) == sorted(["conversion.json", SHA256])
    assert (place / SHA256).read_bytes() == MODEL
    assert not left.exists()  # nothing stays on the device
    assert [path.name for path in place.parent.iterdir()] == [FINGERPRINT]


def test_what_is_there_is_not_brought_again(device: Any, shared: Any, bring: Any) -> None:
    shared()
    bring()
    shared()
    result = bring()
    assert result["changed"] is False
    assert [words[-1] for words in device.asked] == ["--check"]


def test_what_was_damaged_here_is_brought_again(shared: Any, bring: Any, tmp_path: Path) -> None:
    shared()
    bring()
    file = tmp_path / "here" / FINGERPRINT / SHA256
    file.write_bytes(b"damaged")
    shared()
    assert bring()["changed"] is True
    assert file.read_bytes() == MODEL


def test_what_changes_on_its_way_is_refused_and_nothing_is_left(
    shared: Any, bring: Any, tmp_path: Path
) -> None:
    shared(content=b"another")
    result = bring()
    assert (result["failed"], result["kind"]) == (True, "transfer")
    assert result["msg"] == f"{SHA256} changed on its way from the device; run it again."
    assert list((tmp_path / "here").iterdir()) == []


def test_a_check_says_what_would_be_brought(device: Any, shared: Any, bring: Any, tmp_path: Path) -> None:
    shared()
    result = bring(check=True)
    assert [words[-1] for words in device.asked] == ["--check"]
    assert (result["changed"], result["msg"]) == (
        True,
        f"would bring label-reader 1.0.0, 0.0 MB, to {tmp_path / 'here' / FINGERPRINT}",
    )
    assert not (tmp_path / "here").exists()


def test_a_check_of_a_device_without_a_runtime_predicts(bring: Any, tmp_path: Path) -> None:
    result = bring(check=True)
    assert (
        result["msg"]
        == f"would bring what this device will make of label-reader 1.0.0 to {tmp_path / 'here'}"
    )


def test_a_directory_that_cannot_be_written_is_named(shared: Any, bring: Any, tmp_path: Path) -> None:
    shared()
    (tmp_path / "here").write_text("a file")
    result = bring()
    assert (result["failed"], result["kind"]) == (True, "bad_input")
    assert result["msg"].startswith(f"{tmp_path / 'here'}: cannot be written on the controller (")
