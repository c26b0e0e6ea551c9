"""Releases come to a device through TUF: verified, whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

from making import at, make_lock, pack, provision, snapshot, write_release, write_wheel

from edgeai_runtime.errors import EdgeAIError, InputError, TransferError, TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import content_pieces, file_sha256, read_source
from edgeai_runtime.trust import fetch_release, load_release, show_bundle
from edgeai_runtime.trust.store import blob_name, blob_path

NAME = "label-reader"
MEMORY = re.compile(r"/trust/[0-9a-f]{64}/")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_release(tmp_path / "1.0.0")


@pytest.fixture
def bundle(tmp_path: Path, source: Path) -> Path:
    return pack(tmp_path / "bundle", tmp_path / "keys", [source])


@pytest.fixture
def device(tmp_path: Path, bundle: Path) -> Paths:
    return provision(tmp_path / "device", bundle)


def url(bundle: Path) -> str:
    return f"file://{bundle}"


def refused(device: Paths, depot_url: str, kind: Any, version: str = "1.0.0") -> str:
    """The sentence a fetch is refused with; the device must know of no other release than before."""

    def known() -> Dict[str, Any]:
        # Blobs that were proved may stay for the next attempt, metadata that was seen stays seen.
        files = snapshot(device).items()
        return {name: digest for name, digest in files if "/store/" not in name and not MEMORY.search(name)}

    before = known()
    with pytest.raises(kind) as caught:
        fetch_release(device, at(depot_url), NAME, version)
    assert "\n" not in caught.value.message
    assert known() == before
    return str(caught.value.message)


def test_a_release_is_fetched_whole(device: Paths, bundle: Path, source: Path) -> None:
    said: List[str] = []
    result = fetch_release(device, at(url(bundle)), NAME, "1.0.0", progress=said.append)
    release, files = read_source(source)
    assert (result.changed, result.digest) == (True, release.digest)
    assert result.bytes_fetched == sum(blob.size for blob in release.blobs)
    assert load_release(device, NAME, "1.0.0") == release
    for digest, content in files.items():
        assert blob_path(device, digest).read_bytes() == b"".join(content_pieces(content))
    assert said == ["9 of 9 files of label-reader 1.0.0"]
    assert json.loads(device.journal.read_text())["event"] == "fetched"


def test_the_same_again_fetches_nothing(device: Paths, bundle: Path) -> None:
    first = fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    before = snapshot(device)
    again = fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    assert (again.changed, again.bytes_fetched, again.bytes_present) == (False, 0, first.bytes_fetched)
    assert snapshot(device) == before


def test_a_check_predicts_and_changes_nothing(device: Paths, bundle: Path) -> None:
    before = snapshot(device)
    forecast = fetch_release(device, at(url(bundle)), NAME, "1.0.0", check=True)
    assert snapshot(device) == before
    assert forecast.actions[0].startswith("would fetch label-reader 1.0.0: 9 of 9 files")
    done = fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    assert replace(forecast, actions=done.actions) == done


def test_a_new_version_brings_only_what_is_new(device: Paths, bundle: Path, tmp_path: Path) -> None:
    fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    newer = write_release(tmp_path / "1.1.0", "1.1.0", model=b"a better model")
    pack(bundle, tmp_path / "keys", [tmp_path / "1.0.0", newer])
    assert fetch_release(device, at(url(bundle)), NAME, "1.1.0").bytes_fetched == len(b"a better model")
    assert load_release(device, NAME, "1.0.0").version == "1.0.0"


def test_it_works_over_http_too(device: Paths, bundle: Path, serve: Callable[[Path], Any]) -> None:
    depot = serve(bundle)
    assert fetch_release(device, at(depot.url), NAME, "1.0.0").changed
    assert load_release(device, NAME, "1.0.0").version == "1.0.0"


def test_a_tampered_model_is_refused(device: Paths, bundle: Path) -> None:
    blob = bundle / blob_name(file_sha256(bundle.parent / "1.0.0" / "model.onnx"))
    blob.write_bytes(b"b model")
    message = refused(device, url(bundle), TrustError)
    assert message.startswith(f"{url(bundle)}/{blob.relative_to(bundle)}: the content is not what was signed")
    with pytest.raises(InputError, match=r"label-reader 1\.0\.0 is not on this device; fetch it first"):
        load_release(device, NAME, "1.0.0")


def test_a_truncated_model_is_refused(device: Paths, bundle: Path) -> None:
    blob = bundle / blob_name(file_sha256(bundle.parent / "1.0.0" / "model.onnx"))
    blob.write_bytes(b"a mo")
    assert "the depot's file has 4 bytes, signed are 7" in refused(device, url(bundle), TrustError)


def test_a_tampered_manifest_is_refused(device: Paths, bundle: Path) -> None:
    manifest = next((bundle / "targets" / "releases" / NAME).iterdir())
    manifest.write_bytes(manifest.read_bytes().replace(b'"exact_match":0.95', b'"exact_match":0.05'))
    assert "is not in order" in refused(device, url(bundle), TrustError)


def test_tampered_metadata_is_refused(device: Paths, bundle: Path) -> None:
    timestamp = bundle / "metadata" / "timestamp.json"
    content = json.loads(timestamp.read_bytes())
    content["signed"]["expires"] = "2099-01-01T00:00:00Z"
    timestamp.write_text(json.dumps(content))
    assert "is not signed by the keys this device trusts" in refused(device, url(bundle), TrustError)


def test_a_bundle_of_another_root_is_refused(device: Paths, tmp_path: Path, source: Path) -> None:
    foreign = pack(tmp_path / "foreign", tmp_path / "other-keys", [source])
    message = refused(device, url(foreign), TrustError)
    assert "is not signed by the keys this device trusts" in message
    assert "provision the device with the new root" in message


def test_an_expired_bundle_is_refused_and_what_was_fetched_stays(
    device: Paths, bundle: Path, tmp_path: Path, source: Path
) -> None:
    fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    pack(bundle, tmp_path / "keys", [source], expires=timedelta(days=-1))
    assert "the bundle has expired" in refused(device, url(bundle), TrustError)
    assert load_release(device, NAME, "1.0.0").version == "1.0.0"


def test_an_older_bundle_is_refused_once_a_newer_was_seen(
    device: Paths, bundle: Path, tmp_path: Path, source: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(bundle, old)
    pack(bundle, tmp_path / "keys", [source])
    fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    assert "is older than one this device has seen" in refused(device, url(old), TrustError)


def test_a_bundle_made_anew_in_an_empty_directory_is_newer(
    device: Paths, tmp_path: Path, source: Path
) -> None:
    for _turn in range(3):
        pack(tmp_path / "often", tmp_path / "keys", [source], ago=timedelta(hours=1))
    fetch_release(device, at(url(tmp_path / "often")), NAME, "1.0.0")
    anew = pack(tmp_path / "anew", tmp_path / "keys", [source])
    assert not fetch_release(device, at(url(anew)), NAME, "1.0.0").changed


def test_an_unreachable_depot_is_named(device: Paths) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        message = refused(device, f"http://127.0.0.1:{nobody.getsockname()[1]}", TransferError)
    assert "the depot cannot be reached" in message


def test_a_directory_that_is_no_bundle_is_named(device: Paths, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "timestamp.json: the depot does not have this file" in refused(
        device, url(tmp_path / "empty"), TransferError
    )


def test_a_version_the_bundle_lacks_is_named(device: Paths, bundle: Path) -> None:
    message = refused(device, url(bundle), TrustError, version="9.9.9")
    assert "the bundle has no releases/label-reader/9.9.9.json" in message


def test_a_version_that_exists_with_other_content_is_refused(
    device: Paths, bundle: Path, tmp_path: Path
) -> None:
    fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    other = write_release(tmp_path / "other", "1.0.0", model=b"another model")
    pack(bundle, tmp_path / "keys", [other])
    assert "is on this device with other content" in refused(device, url(bundle), TrustError)


def test_a_class_without_a_recipe_is_refused_before_a_file_is_fetched(device: Paths, bundle: Path) -> None:
    with pytest.raises(InputError, match="jetson"):
        fetch_release(device, at(url(bundle), "jetson"), NAME, "1.0.0")
    assert not list(device.store.rglob("*"))


def test_a_device_that_is_not_provisioned_says_so(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the pinned root is missing; provision this device"):
        fetch_release(Paths(tmp_path / "new"), at(url(bundle)), NAME, "1.0.0")


def test_a_damaged_memory_of_the_metadata_heals(device: Paths, bundle: Path) -> None:
    fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    for kept in device.trust.glob("*/*.json"):
        if len(kept.parent.name) == 64 and kept.name != "root.json":
            kept.write_bytes(b"")
    assert not fetch_release(device, at(url(bundle)), NAME, "1.0.0").changed


def test_a_failed_fetch_leaves_what_it_has_for_the_next(device: Paths, bundle: Path) -> None:
    blob = bundle / blob_name(file_sha256(bundle.parent / "1.0.0" / "model.onnx"))
    kept = blob.read_bytes()
    blob.write_bytes(b"b model")
    with pytest.raises(EdgeAIError):
        fetch_release(device, at(url(bundle)), NAME, "1.0.0")
    blob.write_bytes(kept)
    assert fetch_release(device, at(url(bundle)), NAME, "1.0.0").changed
    assert load_release(device, NAME, "1.0.0").version == "1.0.0"


def test_a_controller_sees_what_a_bundle_holds(bundle: Path, tmp_path: Path, source: Path) -> None:
    root = bundle / "metadata" / "1.root.json"
    with pytest.raises(TrustError, match=r"the bundle has no locks/supervisor\.json"):
        show_bundle(url(bundle), root)
    wheel = write_wheel(tmp_path / "wheels", "anything", {})
    locks = [make_lock(wheel, [wheel], name=name) for name in ("supervisor", "x86_64-cp311-cpu")]
    pack(bundle, tmp_path / "keys", [source], locks, [wheel])
    content = show_bundle(url(bundle), root)
    assert content["releases"] == {NAME: ["1.0.0"]}
    assert content["targets"] == ["x86_64-cp311-cpu"]
    assert content["locks"] == {
        lock.name: {
            "sha256": lock.digest,
            "size": len(lock.to_json()),
            "glibc": lock.glibc,
            "wheels_size": sum(wheel.size for wheel in lock.wheels),
        }
        for lock in locks
    }
    release, _files = read_source(source)
    assert content["largest_model"] == release.model_size
    assert content["largest_release"] == sum(blob.size for blob in release.blobs)
