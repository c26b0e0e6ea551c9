"""The TUF client of devices as a suite for such clients calls it: `edgeai trust …`, its status, its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable, List

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

from making import pack, write_release

from edgeai_runtime.cli import main

KEPT = ["root.json", "snapshot.json", "targets.json", "timestamp.json"]


class Repository:
    """A bundle behind HTTP as any TUF repository, and a client's directories."""

    def __init__(self, directory: Path, serve: Callable[[Path], Any]) -> None:
        self.directory, self.keys = directory, directory / "keys"
        self.source = write_release(directory / "1.0.0")
        self.bundle = pack(directory / "bundle", self.keys, [self.source])
        self.depot = serve(self.bundle)
        self.trusted, self.targets = directory / "trusted", directory / "targets"
        self.targets.mkdir()
        self.target = next(name for name in self._signed()["targets"] if name.startswith("releases/"))

    def call(self, command: str, *arguments: str) -> int:
        where = ["--metadata-dir", str(self.trusted), "--metadata-url", f"{self.depot.url}/metadata/"]
        return main(["trust", *where, *self.where_targets(), command, *arguments])

    def where_targets(self) -> List[str]:
        base = f"{self.depot.url}/targets/"
        return [
            *("--target-name", self.target),
            *("--target-base-url", base),
            *("--target-dir", str(self.targets)),
        ]

    def init(self) -> int:
        return self.call("init", str(self.bundle / "metadata/1.root.json"))

    def known(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.trusted.iterdir()}

    def sign_again(self) -> None:
        pack(self.bundle, self.keys, [self.source, write_release(self.directory / "1.1.0", "1.1.0", b"new")])

    def _signed(self) -> Any:
        newest = max((self.bundle / "metadata").glob("*.targets.json"))
        return json.loads(newest.read_bytes())["signed"]


@pytest.fixture
def repository(tmp_path: Path, serve: Callable[[Path], Any]) -> Repository:
    return Repository(tmp_path, serve)


def test_init_trusts_a_root_and_asks_nobody(repository: Repository) -> None:
    assert repository.init() == 0
    assert list(repository.known()) == ["root.json"]
    assert repository.depot.requests == []


def test_refresh_keeps_what_it_verified_under_the_roles_names(repository: Repository) -> None:
    repository.init()
    assert repository.call("refresh") == 0
    assert sorted(repository.known()) == KEPT
    assert (
        repository.known()["timestamp.json"] == (repository.bundle / "metadata/timestamp.json").read_bytes()
    )


def test_download_brings_a_target_once(repository: Repository) -> None:
    repository.init()
    assert repository.call("download") == 0
    (brought,) = repository.targets.iterdir()
    assert json.loads(brought.read_bytes())["version"] == "1.0.0"
    repository.depot.requests.clear()
    assert repository.call("download") == 0
    assert not any("/targets/" in path for path, _range in repository.depot.requests)


def test_a_target_that_was_changed_is_not_brought(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.init()
    for path in (repository.bundle / "targets").rglob("*.1.0.0.json"):
        path.write_bytes(path.read_bytes().replace(b"1.0.0", b"6.6.6"))
    assert repository.call("download") == 1
    assert list(repository.targets.iterdir()) == []
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_metadata_that_went_back_is_refused_and_what_was_trusted_stays(repository: Repository) -> None:
    repository.init()
    old = repository.directory / "old"
    shutil.copytree(repository.bundle, old)
    repository.sign_again()
    assert repository.call("refresh") == 0
    trusted = repository.known()
    repository.depot.directory = old
    assert repository.call("refresh") == 1
    assert repository.known() == trusted


def test_without_a_root_the_next_step_is_told(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert repository.call("refresh") == 1
    assert "there is no root.json; run `edgeai trust … init` first" in capsys.readouterr().err


def test_an_argument_that_is_missing_is_named(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.init()
    assert main(["trust", "--metadata-dir", str(repository.trusted), "refresh"]) == 1
    assert "--metadata-url is missing" in capsys.readouterr().err
