"""Bundles: collected by real pip, packed, signed; the same again changes nothing."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime, timedelta, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Dict

import pytest

pytest.importorskip("cryptography", reason="signing needs cryptography (the extra 'workstation')")

try:
    SETUPTOOLS = int(version("setuptools").split(".")[0])
except PackageNotFoundError:
    SETUPTOOLS = 0
if SETUPTOOLS < 68:
    pytest.skip("the runtime's wheel needs setuptools 68 (the extra 'workstation')", allow_module_level=True)

from making import at, provision, write_release
from mirror import Mirror
from workstation import Workstation

from edgeai_runtime.errors import InputError, TransferError
from edgeai_runtime.release import file_sha256, read_source
from edgeai_runtime.trust import fetch_release, show_bundle
from edgeai_runtime.trust.store import blob_name


def shown(workstation: Workstation) -> Dict[str, Any]:
    """What a controller sees of the bundle, verified."""
    url = f"file://{workstation.output}"
    return show_bundle(url, workstation.output / "metadata" / "1.root.json")


def lock_of(workstation: Workstation, name: str) -> Dict[str, Any]:
    digest = shown(workstation)["locks"][name]["sha256"]
    lock: Dict[str, Any] = json.loads((workstation.output / blob_name(digest)).read_bytes())
    return lock


def refused(workstation: Workstation, kind: Any, **changed: Any) -> str:
    """The sentence a build is refused with; the bundle must be as it was."""
    before = workstation.content()
    with pytest.raises(kind) as caught:
        workstation.build(**changed)
    assert "\n" not in caught.value.message
    assert workstation.content() == before
    return str(caught.value.message)


def test_a_bundle_holds_wheels_runtime_and_releases(workstation: Workstation) -> None:
    shutil.rmtree(str(workstation.cache))
    result = workstation.build()
    assert result.changed
    content = shown(workstation)
    assert content["targets"] == result.targets == ["x86_64-cp311-cpu"]
    assert content["releases"] == result.releases == {"label-reader": ["1.0.0"]}
    assert content["expires"] == result.expires
    lock = lock_of(workstation, "x86_64-cp311-cpu")
    assert [re.split("-[0-9]", wheel["filename"])[0] for wheel in lock["wheels"]] == [
        "edgeai_runtime",
        "native",
        "one",
        "two",
    ]
    assert content["runtime_wheel"] in lock["wheels"]
    for wheel in [lock["installer"], *lock["wheels"]]:
        assert file_sha256(workstation.output / blob_name(wheel["sha256"])) == wheel["sha256"]
    assert (lock["python"], lock["architecture"], lock["glibc"]) == ("3.11", "x86_64", "2.17")
    assert "2 of 3 wheels for x86_64-cp311-cpu" in workstation.said


def test_a_device_takes_releases_from_it(workstation: Workstation, tmp_path: Path) -> None:
    workstation.build()
    device = provision(tmp_path / "device", workstation.output)
    assert fetch_release(device, at(f"file://{workstation.output}"), "label-reader", "1.0.0").changed


def test_the_same_again_downloads_and_writes_nothing(workstation: Workstation) -> None:
    first = workstation.build()
    before = {path: path.stat().st_mtime_ns for path in workstation.output.rglob("*")}
    shutil.rmtree(workstation.index)
    workstation.said.clear()
    again = workstation.build()
    assert (again.changed, again.actions, again.expires) == (False, [], first.expires)
    assert {path: path.stat().st_mtime_ns for path in workstation.output.rglob("*")} == before
    assert workstation.said == ["read label-reader 1.0.0"]


def test_a_bundle_elsewhere_is_built_from_the_cache_alone(workstation: Workstation, tmp_path: Path) -> None:
    shutil.rmtree(workstation.index)
    assert workstation.build(output=tmp_path / "second").changed


def test_targets_with_equal_requirements_get_their_own_wheels(workstation: Workstation) -> None:
    workstation.build(targets=["aarch64-cp311-cpu", "x86_64-cp311-cpu"])
    for machine in ("aarch64", "x86_64"):
        wheels = [wheel["filename"] for wheel in lock_of(workstation, f"{machine}-cp311-cpu")["wheels"]]
        assert [name for name in wheels if name.startswith("native")] == [
            f"native-1.0-cp311-cp311-manylinux_2_17_{machine}.manylinux2014_{machine}.whl"
        ]


@pytest.mark.skipif(not shutil.which("apt-get"), reason="collecting Debian packages needs apt")
def test_it_carries_debian_packages_signed_like_the_rest(workstation: Workstation, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")
    mirror.add("nginx", Depends="libc6")
    asked = {
        "debian": ["bookworm-arm64"],
        "debian_packages": ["nginx"],
        "debian_sources": mirror.sources,
    }
    assert workstation.build(**asked).changed
    told = shown(workstation)["debian"]["bookworm-arm64"]
    assert told["packages"] == ["nginx"]
    lock = json.loads((workstation.output / blob_name(told["sha256"])).read_bytes())
    (file,) = lock["files"]
    assert file_sha256(workstation.output / blob_name(file["sha256"])) == file["sha256"]
    shutil.rmtree(mirror.directory)
    assert not workstation.build(**asked).changed
    assert workstation.build().changed
    assert not (workstation.output / blob_name(file["sha256"])).exists()


def test_it_says_what_it_has_newest_to_whoever_does_not_verify(
    workstation: Workstation, tmp_path: Path
) -> None:
    newer = [write_release(tmp_path / v, v, model=b"a better model") for v in ("1.10.0", "1.9.0")]
    workstation.build(release_dirs=[*workstation.releases, *newer])
    told = json.loads((workstation.output / "updates.json").read_bytes())
    release = read_source(newer[0])[0]
    assert told["releases"] == [
        {
            "name": "label-reader",
            "version": "1.10.0",
            "digest": release.digest,
            "size": sum(blob.size for blob in release.blobs),
        }
    ]
    digests = {name: lock["sha256"] for name, lock in shown(workstation)["locks"].items()}
    assert {entry["name"]: entry["digest"] for entry in told["environments"]} == digests
    assert told["expires"] == shown(workstation)["expires"]
    assert "Not signed" in told["note"]


def test_a_check_predicts_and_writes_nothing(workstation: Workstation) -> None:
    forecast = workstation.build(check=True)
    assert forecast.changed
    assert not workstation.output.exists()
    assert not workstation.keys.exists()
    workstation.build()
    assert not workstation.build(check=True).changed


def test_a_new_release_makes_a_newer_bundle_and_what_it_drops_goes(
    workstation: Workstation, tmp_path: Path
) -> None:
    workstation.build()
    device = provision(tmp_path / "device", workstation.output)
    url = f"file://{workstation.output}"
    fetch_release(device, at(url), "label-reader", "1.0.0")
    newer = write_release(tmp_path / "1.1.0", "1.1.0", model=b"a better model")
    workstation.build(release_dirs=[newer])
    assert shown(workstation)["releases"] == {"label-reader": ["1.1.0"]}
    assert fetch_release(device, at(url), "label-reader", "1.1.0").bytes_fetched == len(b"a better model")
    old_model = file_sha256(workstation.releases[0] / "model.onnx")
    assert not (workstation.output / blob_name(old_model)).exists()
    metadata = [path.name.split(".", 1)[-1] for path in (workstation.output / "metadata").iterdir()]
    assert sorted(metadata) == ["json", "root.json", "snapshot.json", "targets.json"]


def test_a_version_that_exists_with_other_content_is_refused(
    workstation: Workstation, tmp_path: Path
) -> None:
    workstation.build()
    other = write_release(tmp_path / "other", "1.0.0", model=b"another model")
    message = refused(workstation, InputError, release_dirs=[other])
    assert f"label-reader 1.0.0 is in {workstation.output} with other content" in message


def test_a_version_given_twice_with_other_content_is_refused(
    workstation: Workstation, tmp_path: Path
) -> None:
    other = write_release(tmp_path / "other", "1.0.0", model=b"another model")
    message = refused(workstation, InputError, release_dirs=[*workstation.releases, other])
    assert "label-reader 1.0.0 is given twice with different content" in message


def test_a_release_with_a_mistake_is_refused(workstation: Workstation) -> None:
    workstation.build()
    (workstation.releases[0] / "golden" / "0.png").unlink()
    assert "the file golden/0.png is missing" in refused(workstation, InputError)


def test_metadata_is_signed_anew_once_half_of_its_time_is_over(workstation: Workstation) -> None:
    workstation.build(expires_days=10)
    assert not workstation.build(expires_days=19).changed
    result = workstation.build(expires_days=21)
    assert result.changed
    left = datetime.fromisoformat(result.expires) - datetime.now(timezone.utc)
    assert timedelta(days=20, hours=23) < left < timedelta(days=21, minutes=1)


def test_a_shorter_lifetime_is_signed_at_once(workstation: Workstation) -> None:
    workstation.build(expires_days=30)
    assert workstation.build(expires_days=5).changed


def test_a_changed_runtime_changes_its_wheel_and_only_that(workstation: Workstation) -> None:
    workstation.build()
    before = lock_of(workstation, "x86_64-cp311-cpu")
    (workstation.runtime / "src" / "edgeai_keeper" / "keeper.py").write_text("NEW = 1\n")
    assert workstation.build().changed
    after = lock_of(workstation, "x86_64-cp311-cpu")
    changed = [a["filename"] for a, b in zip(after["wheels"], before["wheels"]) if a != b]
    assert changed == ["edgeai_runtime-0.1.0-py3-none-any.whl"]


def test_equal_sources_give_an_equal_wheel(workstation: Workstation) -> None:
    workstation.build()
    before = shown(workstation)["runtime_wheel"]
    shutil.rmtree(workstation.cache / "runtime")
    for path in workstation.runtime.rglob("*.py"):
        path.touch()
        path.chmod(0o600)
    assert not workstation.build().changed
    assert shown(workstation)["runtime_wheel"] == before


def test_a_file_lost_from_the_bundle_comes_back(workstation: Workstation) -> None:
    workstation.build()
    model = workstation.output / blob_name(file_sha256(workstation.releases[0] / "model.onnx"))
    model.unlink()
    assert workstation.build().changed
    assert model.read_bytes() == b"a model"


def test_signing_that_was_cut_off_is_done_again(workstation: Workstation, tmp_path: Path) -> None:
    workstation.build()
    metadata = workstation.output / "metadata"
    old = (metadata / "timestamp.json").read_bytes()
    old_files = {path: path.read_bytes() for path in workstation.output.rglob("*") if path.is_file()}
    newer = write_release(tmp_path / "1.1.0", "1.1.0", model=b"a better model")
    workstation.build(release_dirs=[newer])
    for path, data in old_files.items():  # all was written but the timestamp
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert (metadata / "timestamp.json").read_bytes() == old
    assert shown(workstation)["releases"] == {"label-reader": ["1.0.0"]}
    assert workstation.build(release_dirs=[newer]).changed
    assert shown(workstation)["releases"] == {"label-reader": ["1.1.0"]}


def test_a_damaged_download_is_fetched_again(workstation: Workstation, tmp_path: Path) -> None:
    cached = workstation.cache / "wheels" / "one-1.0-py3-none-any.whl"
    right = cached.read_bytes()
    cached.write_bytes(b"damaged")
    workstation.build(output=tmp_path / "second")
    assert cached.read_bytes() == right


def test_a_wheel_that_is_not_the_locked_one_is_refused(workstation: Workstation) -> None:
    shutil.rmtree(str(workstation.cache / "wheels"))
    (workstation.index / "two-1.0-py3-none-any.whl").write_bytes(
        (workstation.index / "one-1.0-py3-none-any.whl").read_bytes()
    )
    message = refused(workstation, TransferError)
    assert message.startswith("x86_64-cp311-cpu.txt: the wheels could not be fetched (ERROR: ")
    assert not workstation.keys.exists()


def test_a_target_without_a_lock_is_told_the_nearest(workstation: Workstation) -> None:
    message = refused(workstation, InputError, targets=["x86_64-cp311-gpu"])
    assert message.startswith("The target 'x86_64-cp311-gpu' has no lock in")
    assert "did you mean 'x86_64-cp311-cpu'?" in message


@pytest.mark.parametrize("days", [0, -1, 5000])
def test_a_lifetime_that_makes_no_sense_is_refused(workstation: Workstation, days: int) -> None:
    assert f"1 to 3650 days, not {days}" in refused(workstation, InputError, expires_days=days)


def test_a_directory_that_is_no_runtime_is_named(workstation: Workstation, tmp_path: Path) -> None:
    shutil.copytree(workstation.runtime / "locks", tmp_path / "bare" / "locks")
    assert "there is no runtime here" in refused(workstation, InputError, runtime_dir=tmp_path / "bare")
