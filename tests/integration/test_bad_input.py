"""What comes to nothing: one sentence says what, where and what to do, and the devices stay as they are."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Iterator

import pytest
from small_fleet import Fleet, Run, says
from toy_releases import write_release


def rollout(fleet: Fleet, version: str, *arguments: str) -> Run:
    """A rollout of the reader that must come to nothing."""
    with fleet.left_as_it_is():
        run = fleet.play("rollout", *arguments, release_name="reader", release_version=version)
    assert run.status != 0, run.output
    return run


def test_a_depot_that_is_down_ends_the_rollout(fleet: Fleet) -> None:
    with fleet.depot_down():
        run = rollout(fleet, "1.1.0", "--limit", "pi")
    assert run.verdicts() == {"pi": "failed"}
    says(run.reason("pi"), f"http://127.0.0.1:{fleet.depot_port}", "cannot be reached", "check that it runs")


def test_a_release_the_depot_does_not_have_is_named(fleet: Fleet) -> None:
    run = rollout(fleet, "9.9.9", "--limit", "pi")
    assert run.verdicts() == {"pi": "failed"}
    says(run.reason("pi"), "9.9.9", f"http://127.0.0.1:{fleet.depot_port}", "build and deploy")


def test_a_class_without_a_recipe_is_named_and_the_other_devices_are_held(fleet: Fleet) -> None:
    run = rollout(fleet, "1.2.0")
    assert run.verdicts() == {"pi": "failed", "pc": "held"}
    says(run.reason("pi"), "reader 1.2.0", "raspberry_pi", "only for jetson", "add [recipes.raspberry_pi]")
    says(run.reason("pc"), "pi is failed", "not touched")


def test_a_truncated_model_is_not_converted(fleet: Fleet) -> None:
    run = rollout(fleet, "1.3.0", "--limit", "pi")
    assert run.verdicts() == {"pi": "failed"}
    says(run.reason("pi"), "reader 1.3.0", "no complete ONNX model", "export it again")


def test_a_file_the_depot_holds_with_another_digest_is_refused(fleet: Fleet, bundle: Path) -> None:
    model = (bundle.parent / "releases/reader-1.1.0/model.onnx").read_bytes()
    (blob,) = (path for path in bundle.glob("blobs/sha256/*/*") if path.read_bytes() == model)
    try:
        blob.write_bytes(model[:-1] + bytes([model[-1] ^ 1]))
        run = rollout(fleet, "1.1.0", "--limit", "pi")
    finally:
        blob.write_bytes(model)
    assert run.verdicts() == {"pi": "failed"}
    says(run.reason("pi"), blob.name, "not what was signed", "remove this file from the depot")


def test_a_bundle_at_the_depot_that_was_changed_is_refused_by_the_controller(
    fleet: Fleet, bundle: Path
) -> None:
    timestamp = bundle / "metadata/timestamp.json"
    signed = timestamp.read_bytes()
    try:
        timestamp.write_bytes(signed.replace(b'"version":1', b'"version":2'))
        said = fleet.play("depot").only_failure()
    finally:
        timestamp.write_bytes(signed)
    says(said, str(bundle), "not signed by the keys", "build it with the keys")


def test_a_depot_without_the_bundle_it_should_have_is_told(fleet: Fleet) -> None:
    said = fleet.play(
        "depot", depot_directory="/nowhere", depot_root_json=f"{fleet.bundle}/metadata/1.root.json"
    ).only_failure()
    says(said, "/nowhere", "there is no bundle on this host", "depot_source")


def test_a_root_of_trust_that_is_not_on_the_controller_is_told(fleet: Fleet) -> None:
    said = fleet.play("depot", depot_root_json="/nowhere/1.root.json").only_failure()
    says(said, "/nowhere/1.root.json", "not on the controller", "name it in depot_root_json")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_a_device_that_is_down_holds_the_others_and_is_in_the_report(fleet: Fleet, closed_port: int) -> None:
    down = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": closed_port}
    devices = {
        **fleet.variables,
        "down": {**down, "runtime_class": "jetson", "runtime_line": "line-3"},
    }
    with fleet.left_as_it_is():
        run = fleet.play("rollout", devices=devices, release_name="reader", release_version="1.1.0")
    assert run.status != 0
    assert run.verdicts() == {"pi": "held", "pc": "held", "down": "unreached"}
    says(run.reason("down"), "was not reached", str(closed_port), "check its power and its network")
    says(run.reason("pi"), "down", "not touched")


def test_a_mistyped_variable_is_named_with_the_nearest_known_one(fleet: Fleet) -> None:
    with fleet.left_as_it_is():
        run = fleet.play("rollout", release_name="reader", release_versoin="1.1.0")
    assert run.status != 0
    assert run.report is None
    says(run.failures[0], "release_versoin is unknown", "did you mean release_version?")


class TestABundle:
    """Bundles that are not made; the one that is there stays as it is."""

    @pytest.fixture(autouse=True)
    def _bundle_stays(self, bundle: Path) -> Iterator[None]:
        def content() -> dict[Path, bytes]:
            return {path: path.read_bytes() for path in bundle.rglob("*") if path.suffix == ".json"}

        before = content()
        yield
        assert content() == before

    def refusal(self, fleet: Fleet, release: Path) -> str:
        """The sentence the bundle with this release is refused with."""
        return fleet.play("bundle", bundle_releases=[str(release)]).only_failure()

    def test_is_not_made_of_a_version_that_exists_with_other_content(
        self, fleet: Fleet, tmp_path: Path
    ) -> None:
        release = write_release(tmp_path, "1.0.0", classes=["raspberry_pi"])
        said = self.refusal(fleet, release)
        says(said, "reader 1.0.0", str(fleet.bundle), "other content", "a new version")

    def test_is_not_made_of_overlapping_calibration_and_golden_sets(
        self, fleet: Fleet, tmp_path: Path
    ) -> None:
        release = write_release(tmp_path, "2.0.0")
        (release / "golden-1.png").write_bytes((release / "calibration-0.png").read_bytes())
        said = self.refusal(fleet, release)
        says(
            said,
            str(release),
            "calibration and golden sets share 1 sample",
            "-1.png",
            "remove them from one set",
        )

    def test_is_not_made_with_an_unknown_key_and_names_the_nearest(
        self, fleet: Fleet, tmp_path: Path
    ) -> None:
        release = write_release(tmp_path, "2.0.0")
        table = release / "release.toml"
        table.write_text(table.read_text().replace("exact_match", "exact_mach"))
        said = self.refusal(fleet, release)
        says(said, f"{table}, [gates]", "'exact_mach'", "did you mean 'exact_match'?")

    def test_is_not_made_with_a_missing_file(self, fleet: Fleet, tmp_path: Path) -> None:
        release = write_release(tmp_path, "2.0.0")
        (release / "golden-2.png").unlink()
        said = self.refusal(fleet, release)
        says(said, "golden.jsonl, line 3", "golden-2.png is missing", "add it or correct its name")
