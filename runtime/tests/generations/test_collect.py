"""Room is made when a generation is confirmed: what nothing needs any more goes, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Tuple

from bench import ENVIRONMENT, Bench
from toy import build_environment

from edgeai_runtime.generations.collect import collect
from edgeai_runtime.generations.verdicts import confirm
from edgeai_runtime.release import Release
from edgeai_runtime.trust.store import stored_blobs

OTHER_ENVIRONMENT = "f" * 64


def fetch(bench: Bench, version: str) -> Tuple[Release, Path]:
    """A release whose model is its own, and the record that it was fetched."""
    release = bench.release(version)
    record = bench.paths.trust / "releases" / release.name / f"{version}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_bytes(release.to_json())
    return release, record


def put_live(bench: Bench, version: str, kept: int) -> None:
    """Try and confirm a release."""
    bench.trial(fetch(bench, version)[0])
    confirm(bench.paths, kept=kept)


def blobs(bench: Bench) -> set[str]:
    return {path.name for path in stored_blobs(bench.paths)}


def make_older(bench: Bench) -> None:
    """All that there is was made before what comes next, whatever a clock's resolution is."""
    for path in bench.paths.root.rglob("*"):
        if not path.is_symlink() and path.is_file():
            os.utime(path, (1e9, 1e9))


def test_only_so_many_generations_stay_and_the_rest_goes_with_what_only_it_had(bench: Bench) -> None:
    for version in ("1.1.0", "4.0.0", "5.0.0"):
        make_older(bench)
        put_live(bench, version, kept=1)
    assert bench.generations() == ["4", "5"]
    records = (bench.paths.trust / "releases").rglob("*.json")
    assert sorted(record.stem for record in records) == ["4.0.0", "5.0.0"]
    named = {blob.sha256 for version in ("4.0.0", "5.0.0") for blob in fetch(bench, version)[0].blobs}
    converted = {path.resolve().name for path in bench.paths.generations.glob("*/models/*/model.onnx")}
    assert blobs(bench) == named | converted
    bench.wait_served("5.0.0")
    events = [line for line in bench.journal() if line["event"] == "collected"]
    assert [number for line in events for number in line["generations"]] == [1, 2, 3]
    assert sum(line["bytes"] for line in events) > 0


def test_what_stays_can_still_be_gone_back_to(bench: Bench) -> None:
    make_older(bench)
    put_live(bench, "1.1.0", kept=1)
    shutil.rmtree(bench.paths.conversions)  # nothing but the generation itself is needed
    bench.roll_back("1.0.0")
    bench.wait_served("1.0.0")


def test_an_environment_goes_with_the_last_generation_that_ran_in_it(bench: Bench) -> None:
    build_environment(bench.paths, OTHER_ENVIRONMENT)
    bench.trial(environment=OTHER_ENVIRONMENT)
    confirm(bench.paths, kept=1)
    assert bench.paths.environment(ENVIRONMENT).is_dir()
    put_live(bench, "1.1.0", kept=0)
    assert not bench.paths.environment(ENVIRONMENT).exists()
    bench.wait_served("1.1.0")


def test_the_environment_of_the_devices_commands_stays(bench: Bench) -> None:
    build_environment(bench.paths, OTHER_ENVIRONMENT)
    bench.paths.bin.mkdir(parents=True)
    (bench.paths.bin / "edgeai").write_text(f"exec {bench.paths.environment(ENVIRONMENT)}/bin/edgeai\n")
    bench.trial(environment=OTHER_ENVIRONMENT)
    confirm(bench.paths, kept=0)
    assert bench.paths.environment(ENVIRONMENT).is_dir()


def test_half_built_environments_and_broken_off_downloads_go(bench: Bench) -> None:
    (bench.paths.environment("a" * 64) / "bin").mkdir(parents=True)
    partial = bench.paths.store / "partial" / ("b" * 64)
    partial.parent.mkdir(exist_ok=True)
    partial.write_bytes(b"half")
    make_older(bench)
    put_live(bench, "1.1.0", kept=2)
    assert not bench.paths.environment("a" * 64).exists()
    assert not partial.exists()


def test_what_is_still_to_come_stays(bench: Bench) -> None:
    to_come, record = fetch(bench, "9.0.0")
    os.utime(record, (4e9, 4e9))  # fetched after all else
    put_live(bench, "1.1.0", kept=0)
    assert record.is_file()
    assert {blob.sha256 for blob in to_come.blobs} <= blobs(bench)


def test_nothing_goes_while_a_generation_is_on_trial(bench: Bench) -> None:
    bench.trial(bench.release("1.1.0"))
    before = bench.generations(), blobs(bench)
    assert collect(bench.paths, kept=0) == []
    assert (bench.generations(), blobs(bench)) == before


def test_the_same_again_finds_nothing(bench: Bench) -> None:
    make_older(bench)
    put_live(bench, "1.1.0", kept=0)
    assert collect(bench.paths, kept=0) == []


def test_confirming_again_makes_the_room_that_a_power_cut_left(bench: Bench) -> None:
    make_older(bench)
    put_live(bench, "1.1.0", kept=9)
    assert bench.generations() == ["1", "2", "3"]
    again = confirm(bench.paths, kept=0)
    assert bench.generations() == ["3"]
    assert again.changed
    assert not confirm(bench.paths, kept=0).changed
