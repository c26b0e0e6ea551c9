"""A device updates itself from its depot: by signed metadata, through gates and trial, never downwards."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, List

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

from bench import ENVIRONMENT
from making import make_lock, pack, write_installer_wheel, write_wheel
from toy import build_environment

from edgeai_runtime.cli import main
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.errors import GateFailed, InputError, TrustError
from edgeai_runtime.generations.verdicts import confirm
from edgeai_runtime.trust import load_release
from edgeai_runtime.updates import apply_updates, check_updates, fetch_updates


def said(sentence: str) -> None:
    """Nobody listens."""


def apply(plant: Any, check: bool = False) -> Any:
    return apply_updates(plant.bench.paths, plant.device, 0.1, 600.0, check, said)


def offered(plant: Any) -> List[str]:
    updates = check_updates(plant.bench.paths, plant.device).updates
    return [f"{offer.name} {offer.confirmed} -> {offer.offered}" for offer in updates]


def test_what_is_newer_is_offered_by_version_and_class(plant: Any) -> None:
    plant.offer("1.9.0")
    plant.offer("1.10.0")
    plant.offer("2.0.0", device_class="jetson")
    plant.offer("3.0.0", name="another-model")
    assert offered(plant) == ["label-reader 1.0.0 -> 1.10.0"]


def test_what_is_typed_says_what_is_newer_and_what_was_fetched(
    plant: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    plant.offer("1.1.0")
    plant.write_settings()

    def typed(*words: str) -> List[str]:
        assert main(["--root", str(plant.bench.paths.root), "update", *words]) == 0
        return capsys.readouterr().out.splitlines()

    newer = "label-reader 1.1.0 is newer than 1.0.0, 0.0 MB to fetch"
    columns, row = ["kind", "name", "confirmed", "offered"], ["release", "label-reader", "1.0.0", "1.1.0"]
    told = typed("check")
    assert told[0] == newer
    assert [line.split()[:4] for line in told[1:3]] == [columns, row]
    assert f"depot: {plant.device.depot_url}" in told
    assert typed("fetch", "--check")[0].startswith("would fetch label-reader 1.1.0: ")
    assert typed("fetch")[0].startswith("fetched label-reader 1.1.0: ")
    assert typed("fetch")[0] == "all that is newer is here"
    assert typed("check")[0] == newer  # until it is applied
    assert plant.bench.served() == "1.0.0"


@pytest.mark.parametrize("version", ["0.9.0", "1.0.0", "1.0.0-rc.1"])
def test_what_is_not_newer_is_not_offered(plant: Any, version: str) -> None:
    plant.offer(version)
    assert offered(plant) == []
    assert not apply(plant).changed
    assert plant.bench.served() == "1.0.0"


def test_an_update_is_fetched_tried_and_confirmed_and_the_same_again_does_nothing(plant: Any) -> None:
    plant.offer("1.1.0")
    fetched = fetch_updates(plant.bench.paths, plant.device, False, said)
    assert fetched.changed
    assert plant.bench.served() == "1.0.0"
    assert check_updates(plant.bench.paths, plant.device).updates[0].size == 0
    done = apply(plant)
    assert done.updates == ({"name": "label-reader", "offered": "1.1.0", "verdict": "confirmed"},)
    plant.bench.wait_served("1.1.0")
    assert plant.bench.status()["phase"] == "confirmed"
    assert {"fetched", "converted", "gate_passed", "confirmed"} <= {e["event"] for e in plant.bench.journal()}
    again = apply(plant)
    assert (again.changed, again.actions) == (False, ("nothing is newer",))


def test_a_check_predicts_and_changes_nothing(plant: Any) -> None:
    plant.offer("1.1.0")
    before = sorted(plant.bench.paths.root.rglob("*"))
    forecast = apply(plant, check=True)
    assert forecast.changed
    assert [update["verdict"] for update in forecast.updates] == ["predicted"]
    assert sorted(plant.bench.paths.root.rglob("*")) == before


def test_one_that_fails_its_gate_leaves_what_serves(plant: Any) -> None:
    plant.offer("1.1.0", wrong=True)
    with pytest.raises(GateFailed) as caught:
        apply(plant)
    assert caught.value.details["updates"][0]["verdict"] == "failed"
    assert plant.bench.served() == "1.0.0"


def test_one_that_was_taken_back_here_is_not_tried_again_by_itself(plant: Any) -> None:
    plant.offer("1.1.0")
    fetch_updates(plant.bench.paths, plant.device, False, said)
    tried = plant.bench.trial(load_release(plant.bench.paths, "label-reader", "1.1.0"), deadline_s=0.5)
    plant.bench.wait_confirmed(tried.generation - 1)
    (offer,) = check_updates(plant.bench.paths, plant.device).updates
    assert offer.held.startswith(f"it was taken back here in generation {tried.generation}")
    done = apply(plant)
    assert (done.changed, done.updates[0]["verdict"]) == (False, "held")
    assert plant.bench.served() == "1.0.0"
    # Also when others have come and its generation is gone.
    plant.bench.trial(plant.bench.release("1.0.0", name="date-reader"))
    confirm(plant.bench.paths, kept=0)
    assert not plant.bench.paths.generation(tried.generation).exists()
    (again,) = check_updates(plant.bench.paths, plant.device).updates
    assert (again.offered, again.held) == ("1.1.0", offer.held)


def test_an_environment_that_was_taken_back_here_is_held_too(plant: Any, tmp_path: Path) -> None:
    new = offer_environment(plant, tmp_path)
    build_environment(plant.bench.paths, new.digest)
    tried = plant.bench.trial(environment=new.digest, deadline_s=0.5)
    plant.bench.wait_confirmed(tried.generation - 1)
    (offer,) = check_updates(plant.bench.paths, plant.device).updates
    assert offer.held.startswith(f"it was taken back here in generation {tried.generation}")


def offer_environment(plant: Any, tmp_path: Path) -> Lock:
    """Put a newer lock than the one in use on the depot."""
    plant.offer("1.1.0")
    installer = write_installer_wheel(tmp_path / "wheels")
    one, two = (write_wheel(tmp_path / "wheels", "one", {}, version) for version in ("1.0", "2.0"))
    python = f">={sys.version_info[0]}.{sys.version_info[1]}"
    old, new = (make_lock(installer, [wheel], name="here", python=python) for wheel in (one, two))
    (plant.bench.paths.environment(ENVIRONMENT) / "lock.json").write_bytes(old.to_json())
    pack(plant.bundle, tmp_path / "keys", [], [new], [installer, two])
    return new


def test_a_newer_environment_is_offered_by_its_lock(plant: Any, tmp_path: Path) -> None:
    new = offer_environment(plant, tmp_path)
    (offer,) = check_updates(plant.bench.paths, plant.device).updates
    assert (offer.kind, offer.name, offer.digest) == ("environment", "here", new.digest)
    assert offer.size == sum(wheel.size for wheel in (new.installer, *new.wheels))
    assert fetch_updates(plant.bench.paths, plant.device, False, said).changed
    assert (plant.bench.paths.environment(new.digest) / ".complete").is_file()


def test_a_bundle_signed_by_others_updates_nothing(plant: Any, tmp_path: Path) -> None:
    plant.offer("1.1.0")
    shutil.rmtree(plant.bundle)
    pack(plant.bundle, tmp_path / "other-keys", [tmp_path / "label-reader-1.1.0"])
    with pytest.raises(TrustError):
        apply(plant)
    assert plant.bench.served() == "1.0.0"


def test_a_device_that_has_confirmed_nothing_is_told_so(plant: Any) -> None:
    plant.offer("1.1.0")
    plant.bench.paths.state.unlink()
    with pytest.raises(InputError, match="nothing is confirmed on this device yet; provision it first"):
        check_updates(plant.bench.paths, plant.device)
