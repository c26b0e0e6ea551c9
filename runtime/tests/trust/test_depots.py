"""Several depots: each file from the first that delivers. Room is asked for before the first byte."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

from making import at, pack, provision, write_release

from edgeai_runtime.errors import StorageError, TransferError, TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import file_sha256
from edgeai_runtime.trust import fetch_release, load_release, space
from edgeai_runtime.trust.store import blob_name

NAME = "label-reader"
MODEL = bytes(range(256)) * 4000


class Factory(NamedTuple):
    device: Paths
    first: Any
    second: Any

    def fetch(self, **changed: Any) -> Any:
        told = replace(at(self.first.url), depot_mirrors=(self.second.url,), **changed)
        return fetch_release(self.device, told, NAME, "1.0.0")

    def model_in(self, depot: Any) -> Path:
        path: Path = depot.directory / blob_name(file_sha256(self.device.root.parent / "1.0.0/model.onnx"))
        return path


@pytest.fixture
def factory(tmp_path: Path, serve: Callable[[Path], Any]) -> Factory:
    """A device, a depot and a mirror of it."""
    source = write_release(tmp_path / "1.0.0", model=MODEL)
    bundle = pack(tmp_path / "bundle", tmp_path / "keys", [source])
    shutil.copytree(bundle, tmp_path / "mirror")
    return Factory(provision(tmp_path / "device", bundle), serve(bundle), serve(tmp_path / "mirror"))


def test_the_first_is_asked_alone_while_it_delivers(factory: Factory) -> None:
    assert factory.fetch().changed
    assert factory.second.requests == []


def test_a_depot_that_is_away_is_replaced_by_its_mirror(factory: Factory) -> None:
    shutil.rmtree(factory.first.directory)
    assert factory.fetch().changed
    assert load_release(factory.device, NAME, "1.0.0").version == "1.0.0"
    # It is not asked again for every file.
    assert not factory.first.ranges_of(factory.model_in(factory.first).name)


def test_a_file_that_one_lacks_or_has_spoilt_comes_from_the_other(factory: Factory) -> None:
    factory.model_in(factory.first).write_bytes(b"!" + MODEL[1:])
    assert factory.fetch().changed
    assert factory.second.ranges_of(factory.model_in(factory.first).name)


def test_what_came_from_one_is_not_asked_of_the_other_again(factory: Factory) -> None:
    model = factory.model_in(factory.first).name
    factory.first.break_off_in, factory.first.break_off_after = model, [60_000, 100, 100]
    assert factory.fetch().changed
    assert factory.second.ranges_of(model)[0] == "bytes=60200-125735"


def test_an_older_mirror_does_not_take_a_device_back(factory: Factory, tmp_path: Path) -> None:
    pack(factory.first.directory, tmp_path / "keys", [tmp_path / "1.0.0"])
    factory.fetch()
    shutil.rmtree(factory.first.directory)
    with pytest.raises(TransferError, match="the depot does not have this file"):
        factory.fetch()


def test_the_first_depots_failure_is_what_is_told(factory: Factory) -> None:
    for depot in (factory.first, factory.second):
        factory.model_in(depot).write_bytes(b"!" + MODEL[1:])
    with pytest.raises(TrustError, match=f"^{factory.first.url}/.*the content is not what was signed"):
        factory.fetch()


def test_no_byte_is_fetched_where_there_is_no_room(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    needed = sum(path.stat().st_size for path in factory.first.directory.glob("blobs/*/*/*"))
    needed += space.CONVERSION_COPIES * len(MODEL)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: Usage(needed - 1))
    with pytest.raises(StorageError) as caught:
        factory.fetch()
    assert caught.value.message == (
        f"{factory.device.root}: {NAME} 1.0.0 needs 5.1 MB (1.0 MB to fetch, 4.1 MB to convert it) "
        "and 5.1 MB are free; make room, then run the command again."
    )
    assert not any("/blobs/" in path for path, _asked in factory.first.requests)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: Usage(needed))
    assert factory.fetch().changed
