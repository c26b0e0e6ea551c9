"""One model goes back to what was confirmed here; the others stay."""

from __future__ import annotations

import pytest
from bench import Bench
from toy import DEVICE, build_environment

from edgeai_runtime.errors import GateFailed, InputError, TrustError
from edgeai_runtime.generations.manifest import current_manifest
from edgeai_runtime.generations.rollback import rollback
from edgeai_runtime.generations.verdicts import confirm
from edgeai_runtime.trust.revoked import keep_revoked


def test_it_serves_the_version_before_confirmed(bench: Bench) -> None:
    bench.put_live(bench.release("1.1.0"))
    back = rollback(bench.paths, DEVICE, "label-reader")
    assert (back.version, back.changed) == ("1.0.0", True)
    assert back.verdict["gates"][0]["passed"]
    assert back.actions == ("rolled label-reader back from 1.1.0 to 1.0.0, in generation 2",)
    status = bench.status()
    assert (status["phase"], status["confirmed"]) == ("confirmed", back.generation)
    bench.wait_served("1.0.0")


def test_other_models_stay(bench: Bench) -> None:
    bench.put_live(bench.release("1.1.0"))
    bench.put_live(bench.release("2.0.0", name="date-reader"))
    back = rollback(bench.paths, DEVICE, "label-reader")
    assert back.generation == 5
    manifest = current_manifest(bench.paths)
    assert manifest is not None
    versions = {name: entry["version"] for name, entry in manifest["models"].items()}
    assert versions == {"label-reader": "1.0.0", "date-reader": "2.0.0"}
    assert {gate["model"] for gate in back.verdict["gates"]} == {"label-reader"}


def test_it_keeps_the_present_environment(bench: Bench) -> None:
    bench.put_live(bench.release("1.1.0"))
    environment = build_environment(bench.paths, "f" * 64)
    bench.trial(environment=environment)
    confirm(bench.paths)
    rollback(bench.paths, DEVICE, "label-reader", to_version="1.0.0")
    manifest = current_manifest(bench.paths)
    assert manifest is not None
    assert manifest["environment"] == environment
    assert manifest["models"]["label-reader"]["version"] == "1.0.0"


def test_asking_again_never_goes_forth_to_the_version_that_was_left(bench: Bench) -> None:
    bench.put_live(bench.release("1.1.0"))
    rollback(bench.paths, DEVICE, "label-reader")
    with pytest.raises(InputError, match=r"label-reader 1\.0\.0 is the first version confirmed"):
        rollback(bench.paths, DEVICE, "label-reader")


def test_a_named_version_that_serves_already_changes_nothing(bench: Bench) -> None:
    back = rollback(bench.paths, DEVICE, "label-reader", to_version="1.0.0")
    assert (back.generation, back.version, back.changed) == (2, "1.0.0", False)


def test_a_version_never_confirmed_here_is_refused_and_those_that_were_are_named(bench: Bench) -> None:
    bench.put_live(bench.release("1.1.0"))
    with pytest.raises(InputError, match=r"1\.2\.0 was never confirmed .* were: 1\.0\.0, 1\.1\.0"):
        rollback(bench.paths, DEVICE, "label-reader", to_version="1.2.0")


def test_a_version_that_was_revoked_is_refused_with_the_reason(bench: Bench) -> None:
    bench.put_live(bench.release("1.1.0"))
    keep_revoked(bench.paths, b'{"label-reader": {"1.0.0": "reads 8 as B"}}')
    with pytest.raises(TrustError, match=r"label-reader 1\.0\.0 was revoked \(reads 8 as B\)"):
        rollback(bench.paths, DEVICE, "label-reader")
    bench.wait_served("1.1.0")


def test_a_version_that_was_only_tried_is_no_way_back(bench: Bench) -> None:
    bench.trial(bench.release("1.1.0"), deadline_s=0.0)
    bench.wait_confirmed(2)
    with pytest.raises(InputError, match=r"confirmed were: 1\.0\.0\."):
        rollback(bench.paths, DEVICE, "label-reader", to_version="1.1.0")


def test_an_unknown_model_is_refused_and_those_served_are_named(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"label-raeder is not served on this device; .* label-reader"):
        rollback(bench.paths, DEVICE, "label-raeder")


def test_during_a_trial_it_takes_the_trial_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "operator")
    bench.trial(bench.release("1.1.0"))
    back = rollback(bench.paths, DEVICE, "label-reader")
    assert (back.generation, back.version, back.changed) == (2, "1.0.0", True)
    bench.wait_served("1.0.0")
    assert bench.status()["last_reverted"]["reason"] == "rolled back by operator"


def test_a_version_that_no_longer_passes_its_gate_does_not_come_back(bench: Bench) -> None:
    """The artifact is what it was; here the store gave it up, so its generation does not even start."""
    bench.put_live(bench.release("1.1.0"))
    manifest = current_manifest(bench.paths)
    assert manifest is not None
    model = bench.paths.generation(2) / "models" / "label-reader" / "model.onnx"
    model.resolve().write_bytes(b"damaged")
    with pytest.raises(GateFailed, match=r"label-reader 1\.0\.0 was not switched to.*; 1\.1\.0 still serves"):
        rollback(bench.paths, DEVICE, "label-reader")
    bench.wait_served("1.1.0")
    assert bench.status()["confirmed"] == 3


def test_a_check_names_the_version_and_changes_nothing(bench: Bench) -> None:
    bench.put_live(bench.release("1.1.0"))
    predicted = rollback(bench.paths, DEVICE, "label-reader", check=True)
    assert (predicted.version, predicted.changed) == ("1.0.0", True)
    assert not rollback(bench.paths, DEVICE, "label-reader", to_version="1.1.0", check=True).changed
    assert bench.status()["confirmed"] == 3


def test_without_anything_confirmed_there_is_no_way_back(empty: Bench) -> None:
    with pytest.raises(InputError, match="nothing was ever confirmed on this device"):
        rollback(empty.paths, DEVICE, "label-reader")
