"""The device of these tests: made once, then copied to a small disk for each."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

sys.path.extend(
    str(Path(__file__).parents[1] / beside) for beside in ("bundle", "convert", "generations", "updates")
)

from bench import ENVIRONMENT, Bench, provisioned, running
from factory import DEVICE_TOML, Factory, put_lock
from once import made_once
from plant import Plant
from small_disk import SmallDisk, enter_private_namespace

from edgeai_runtime.generations.verdicts import confirm
from edgeai_runtime.trust import fetch_release, load_release


def make_template(place: Path) -> None:
    """A device that serves label-reader 1.0.0 in generation 2, fetched from the depot beside it."""
    bench = provisioned(place / "device")
    plant = Plant(place, bench)
    with running(bench):
        bench.trial(environment=ENVIRONMENT)
        confirm(bench.paths)
        plant.offer("1.0.0")
        fetch_release(bench.paths, plant.device, "label-reader", "1.0.0")
        bench.put_live(load_release(bench.paths, "label-reader", "1.0.0"))
    plant.offer("1.1.0")
    (place / "lock").write_text(put_lock(plant.bundle, place / "wheels").digest)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place of a device and of its depot; the depot is used where it is."""
    return made_once(tmp_path_factory, "plant", make_template)


@pytest.fixture(scope="session")
def lock(template: Path) -> str:
    """The digest of an environment that the depot has."""
    return (template / "lock").read_text()


@pytest.fixture(scope="session")
def private_namespace() -> None:
    why_not = enter_private_namespace()
    if why_not:
        pytest.skip(why_not)


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    return tmp_path / "device"


@pytest.fixture
def disk(private_namespace: None, root: Path) -> Iterator[SmallDisk]:
    root.mkdir()
    disk = SmallDisk(root)
    yield disk
    disk.unmount()


def _put_device(root: Path, template: Path, capsys: Any) -> Factory:
    shutil.copytree(
        template / "device",
        root,
        symlinks=True,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("run", "keeper.log"),
    )
    bench = Bench(root)
    bench.paths.run.mkdir(parents=True)
    bench.log = root / "run/keeper.log"
    bench.paths.device_toml.write_text(DEVICE_TOML.format(bundle=template / "bundle", http=bench.http))
    return Factory(bench, template / "bundle", capsys)


@pytest.fixture
def factory(root: Path, template: Path, capsys: Any) -> Iterator[Factory]:
    """A device on an ordinary disk, whose keeper runs."""
    factory = _put_device(root, template, capsys)
    with running(factory.bench):
        yield factory


@pytest.fixture
def on_disk(disk: SmallDisk, root: Path, template: Path, capsys: Any) -> Iterator[Factory]:
    """A device on the small disk, whose keeper runs."""
    factory = _put_device(root, template, capsys)
    with running(factory.bench):
        yield factory
