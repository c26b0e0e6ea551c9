"""A trial: gated before it is switched to, and nothing at all when it is not good enough."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from bench import ENVIRONMENT, Bench
from toy import build_environment

from edgeai_runtime.errors import ConvertError, GateFailed, InputError, KeeperError
from edgeai_runtime.generations.manifest import current_manifest
from edgeai_runtime.generations.verdicts import confirm


def test_the_first_environment_makes_a_generation_without_models(empty: Bench) -> None:
    tried = empty.trial(environment=ENVIRONMENT)
    assert (tried.generation, tried.changed, tried.phase) == (1, True, "trial")
    assert empty.status()["phase"] == "trial"
    manifest = current_manifest(empty.paths)
    assert manifest is not None
    assert manifest["environment"] == ENVIRONMENT
    assert manifest["models"] == {}
    assert manifest["parent"] is None
    assert confirm(empty.paths).generation == 1
    assert empty.status()["confirmed"] == 1


def test_a_release_needs_a_confirmed_environment(empty: Bench) -> None:
    with pytest.raises(InputError, match="no confirmed environment to run a model in; provision it first"):
        empty.trial(empty.release("1.0.0"))


def test_an_environment_that_was_not_built_is_refused(empty: Bench) -> None:
    with pytest.raises(InputError, match="not built on this device"):
        empty.trial(environment="f" * 64)


def test_a_release_is_gated_then_serves_on_trial(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "rollout 7")
    told = []
    tried = bench.trial(bench.release("1.1.0"), progress=told.append)
    assert (tried.generation, tried.changed, tried.phase) == (3, True, "trial")
    assert [(gate["gate"], gate["passed"]) for gate in tried.verdict["gates"]] == [("exact_match", True)]
    assert tried.verdict["models"][0]["right"] == 10
    assert tried.switch_ms is not None
    assert tried.switch_ms > 0
    status = bench.status()
    assert (status["generation"], status["confirmed"], status["trial"]["fallback"]) == (3, 2, 2)
    bench.wait_served("1.1.0")
    assert any("10 of 10 golden samples right" in sentence for sentence in told)
    gate, switched = [line for line in bench.journal() if line["actor"] == "rollout 7"]
    assert (gate["event"], switched["event"]) == ("gate_passed", "switched")
    manifest = bench.paths.generation(3) / "manifest.json"
    assert switched["manifest"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
    entry = json.loads(manifest.read_bytes())["models"]["label-reader"]
    assert gate["releases"] == {"label-reader 1.1.0": entry["release"]}


def test_after_a_change_of_the_platform_all_is_measured_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not bench.trial(environment=ENVIRONMENT).changed
    for module in ("generations.compose", "convert.fingerprint"):
        monkeypatch.setattr(f"edgeai_runtime.{module}.system_versions", lambda: {"l4t": "36.5.0"})
    tried = bench.trial(environment=ENVIRONMENT)
    assert (tried.generation, tried.changed) == (3, True)
    assert tried.verdict["models"][0]["right"] == 10
    manifest = current_manifest(bench.paths)
    assert manifest is not None
    assert manifest["platform"] == {"l4t": "36.5.0"}


def test_the_manifest_binds_environment_release_artifact_and_config(bench: Bench) -> None:
    release = bench.release("1.1.0")
    bench.trial(release)
    manifest = current_manifest(bench.paths)
    assert manifest is not None
    assert (manifest["generation"], manifest["parent"], manifest["environment"]) == (3, 2, ENVIRONMENT)
    entry = manifest["models"]["label-reader"]
    assert (entry["version"], entry["release"], entry["recipe"]) == ("1.1.0", release.digest, "fp32")
    assert entry["quality"] == 1.0
    directory = bench.paths.generation(3)
    assert (directory / "models" / "label-reader" / "model.onnx").resolve().name == entry["artifact"]
    assert (directory / "models" / "label-reader" / "release.json").read_bytes() == release.to_json()
    assert "[models.label-reader]\nthreads = 1\n" in (directory / "runtime.toml").read_text()


def test_what_is_confirmed_already_changes_nothing(bench: Bench) -> None:
    tried = bench.trial(bench.release("1.0.0"))
    assert (tried.generation, tried.changed, tried.phase) == (2, False, "confirmed")
    assert bench.generations() == ["1", "2"]
    assert bench.status()["trial"] is None
    again = bench.trial(environment=ENVIRONMENT)
    assert (again.generation, again.changed) == (2, False)


def test_what_is_on_trial_already_changes_nothing(bench: Bench) -> None:
    release = bench.release("1.1.0")
    bench.trial(release)
    before = bench.status()["child_pid"]
    again = bench.trial(release)
    assert (again.generation, again.changed, again.phase) == (3, False, "trial")
    assert bench.status()["child_pid"] == before


def test_two_trials_at_once_are_refused(bench: Bench) -> None:
    bench.trial(bench.release("1.1.0"))
    with pytest.raises(InputError, match="Generation 3 is on trial on this device"):
        bench.trial(bench.release("1.0.0", name="date-reader"))


def test_a_release_that_misreads_its_golden_set_is_not_switched_to(bench: Bench) -> None:
    with pytest.raises(GateFailed) as caught:
        bench.trial(bench.release("1.1.0", wrong_golden=7))
    assert caught.value.message == (
        "label-reader 1.1.0 was not switched to: golden exact_match is 0.30 (3 of 10), "
        "required at least 0.9; "
        "1.0.0 still serves."
    )
    assert caught.value.details["gates"][0]["measured"] == 0.3
    assert bench.generations() == ["1", "2"]
    assert bench.status()["generation"] == 2
    bench.wait_served("1.0.0")
    assert bench.journal()[-1]["event"] == "gate_failed"


def test_a_release_that_cannot_be_converted_leaves_the_device_as_it_was(bench: Bench) -> None:
    with pytest.raises(ConvertError):
        bench.trial(bench.release("1.2.0", model=b"not a model"))
    assert bench.generations() == ["1", "2"]
    bench.wait_served("1.0.0")


def test_another_model_joins_the_ones_that_serve_and_only_it_is_gated(bench: Bench) -> None:
    tried = bench.trial(bench.release("1.0.0", name="date-reader"))
    assert {gate["model"] for gate in tried.verdict["gates"]} == {"date-reader"}
    bench.wait_served("1.0.0", "date-reader")
    assert bench.ask("ABCD", "date-reader")[1]["outputs"][0]["data"] == ["ABCD"]
    assert bench.ask("DCBA", "label-reader")[1]["outputs"][0]["data"] == ["DCBA"]


def test_a_new_environment_has_every_model_gated_again(bench: Bench) -> None:
    environment = build_environment(bench.paths, "f" * 64)
    tried = bench.trial(environment=environment)
    assert {gate["model"] for gate in tried.verdict["gates"]} == {"label-reader"}
    manifest = current_manifest(bench.paths)
    assert manifest is not None
    assert manifest["environment"] == environment
    assert manifest["models"]["label-reader"]["version"] == "1.0.0"


def test_an_environment_that_cannot_serve_is_not_switched_to(bench: Bench) -> None:
    environment = build_environment(bench.paths, "f" * 64)
    python = bench.paths.environment(environment) / "bin" / "python"
    python.write_text("#!/bin/sh\necho 'ImportError: libonnxruntime' >&2\nexit 1\n")
    with pytest.raises(
        GateFailed, match=r"does not start on this device: ImportError: libonnxruntime; 1\.0\.0"
    ):
        bench.trial(environment=environment)
    assert bench.status()["generation"] == 2


def test_a_check_says_what_would_happen_and_changes_nothing(bench: Bench) -> None:
    before = bench.journal()
    tried = bench.trial(bench.release("1.2.0"), check=True)
    assert (tried.generation, tried.changed) == (None, True)
    converted = bench.trial(bench.release("1.1.0"), check=True)
    assert (converted.generation, converted.changed) == (3, True)
    assert not bench.trial(bench.release("1.0.0"), check=True).changed
    assert bench.journal() == before
    assert bench.generations() == ["1", "2"]


def test_without_a_keeper_the_error_says_so_and_the_next_trial_works(bench: Bench) -> None:
    bench.stop()
    with pytest.raises(KeeperError, match="the keeper is not running"):
        bench.trial(bench.release("1.1.0"))
    bench.start()
    assert bench.trial(bench.release("1.1.0")).generation == 3


def test_a_trial_taken_back_can_be_tried_again_as_the_same_generation(bench: Bench) -> None:
    release = bench.release("1.1.0")
    bench.trial(release, deadline_s=0.0)
    bench.wait_confirmed(2)
    again = bench.trial(release)
    assert (again.generation, again.changed) == (3, True)


def test_a_generation_that_lost_its_files_is_an_error_in_a_sentence(bench: Bench) -> None:
    shutil.rmtree(bench.paths.generation(2))
    with pytest.raises(InputError, match="the generation cannot be read"):
        bench.trial(bench.release("1.1.0"))
    assert json.loads(bench.paths.state.read_text())["current"] == 2
