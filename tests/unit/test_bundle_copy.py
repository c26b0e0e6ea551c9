"""How a bundle comes to a depot: what is missing, proved, whole, the timestamp last."""

from __future__ import annotations

import hashlib
import importlib
import os
import stat
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

PLUGINS = "ansible_collections.edgeai.fleet.plugins"
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
DEPOT = {"all": {"hosts": {"depot": HERE}}}


class Bundle:
    """A directory with a bundle's files; what they say is of no matter here."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def blob(self, content: bytes) -> Path:
        digest = hashlib.sha256(content).hexdigest()
        return self._write(f"blobs/sha256/{digest[:2]}/{digest}", content)

    def target(self, name: str, content: bytes) -> Path:
        parent, _slash, leaf = name.rpartition("/")
        return self._write(f"targets/{parent}/{hashlib.sha256(content).hexdigest()}.{leaf}", content)

    def sign(self, version: int) -> None:
        self._write(f"metadata/{version}.targets.json", b"targets %d" % version)
        self._write("metadata/timestamp.json", b"timestamp %d" % version)
        self._write("updates.json", b"offers %d" % version)

    def files(self) -> Dict[str, bytes]:
        """All there is, hidden files as well."""
        paths = [path for path in self.directory.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in paths}

    def _write(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def source(tmp_path: Path) -> Bundle:
    bundle = Bundle(tmp_path / "source")
    bundle.blob(b"a wheel")
    bundle.blob(b"a model")
    bundle.target("locks/x86_64.json", b"a lock")
    bundle.sign(1)
    return bundle


@pytest.fixture
def depot(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path / "depot/bundle")


@pytest.fixture
def copy(play: Callable[..., Any], source: Bundle, depot: Bundle) -> Callable[..., List[str]]:
    """The lines that a play writes which copies the one to the other."""

    def run(*options: str, status: int = 0) -> List[str]:
        task = {"edgeai.fleet.bundle_copy": {"src": str(source.directory), "dest": str(depot.directory)}}
        task = {"name": "Copy", **task}
        done = play([{"hosts": "depot", "gather_facts": False, "tasks": [task]}], DEPOT, *options)
        assert done.returncode == status, done.stdout + done.stderr
        return [line.strip() for line in done.stdout.splitlines()]

    return run


def test_everything_comes_and_the_same_again_changes_nothing(
    copy: Any, source: Bundle, depot: Bundle
) -> None:
    old = os.umask(0o077)
    try:
        assert "sent 6 files, 0.0 MB" in copy()
    finally:
        os.umask(old)
    assert depot.files() == source.files()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in depot.directory.parent.rglob("*")}
    assert {path: 0o644 if path.is_file() else 0o755 for path in modes} == modes
    lines = copy()
    assert f"{depot.directory} holds all of it" in lines
    assert "0 changed" in lines[-1]


def test_only_what_is_missing_comes(copy: Any, source: Bundle, depot: Bundle) -> None:
    copy()
    source.blob(b"another model")
    source.sign(2)
    predicted = copy("--check", "--diff")
    assert "would send 4 files, 0.0 MB" in predicted
    assert "+ would send 4 files, 0.0 MB" in predicted
    assert "metadata/2.targets.json" not in depot.files()
    assert "sent 4 files, 0.0 MB" in copy()
    assert depot.files() == source.files()


def test_what_the_bundle_no_longer_names_stays(copy: Any, source: Bundle, depot: Bundle) -> None:
    gone = source.blob(b"an old model")
    copy()
    gone.unlink()
    assert "0 changed" in copy()[-1]
    assert str(gone.relative_to(source.directory)) in depot.files()


def test_what_is_no_file_of_a_bundle_is_not_taken(copy: Any, source: Bundle, depot: Bundle) -> None:
    before = source.files()
    (source.directory / "blobs/.half").touch()
    (source.directory / "blobs/Thumbs.db").touch()
    (source.directory / "controller.pyz").touch()
    copy()
    assert depot.files() == before


def test_a_damaged_file_at_the_depot_is_replaced(copy: Any, source: Bundle, depot: Bundle) -> None:
    copy()
    for name, content in source.files().items():
        # A blob is known by its size, what is signed by its content.
        (depot.directory / name).write_bytes(content[:-1] if name.startswith("blobs") else content[::-1])
    assert "sent 6 files, 0.0 MB" in copy()
    assert depot.files() == source.files()


def test_modes_that_a_web_server_cannot_read_are_corrected(copy: Any, source: Bundle, depot: Bundle) -> None:
    copy()
    (depot.directory / "metadata/timestamp.json").chmod(0o600)
    (depot.directory / "targets/locks").chmod(0o700)
    assert "would correct 2 modes" in copy("--check")
    assert "corrected 2 modes" in copy()
    assert "0 changed" in copy()[-1]


def test_a_damaged_source_is_told_and_the_depot_stays_as_it_is(
    copy: Any, source: Bundle, depot: Bundle
) -> None:
    copy()
    before = depot.files()
    broken = source.blob(b"another model")
    broken.write_bytes(b"another modem")
    source.sign(2)
    (said,) = (line for line in copy(status=2) if str(broken) in line)
    assert "other content than its name promises; copy the bundle there again" in said
    assert depot.files() == before


def test_without_a_bundle_a_sentence_says_so(copy: Any, source: Bundle, depot: Bundle) -> None:
    (source.directory / "metadata/timestamp.json").unlink()
    assert any("there is no bundle (metadata/timestamp.json is missing)" in line for line in copy(status=2))
    predicted = f"would send the bundle that is still to be made in {source.directory}"
    assert predicted in copy("--check")
    assert not depot.directory.exists()


def test_a_depot_that_cannot_be_written_to_is_told(copy: Any, depot: Bundle) -> None:
    depot.directory.parent.write_text("no directory")
    (said,) = (line for line in copy(status=2) if str(depot.directory.parent) in line)
    assert "put it right on the depot" in said


class TestRoom:
    """Told before the first byte is sent."""

    @pytest.fixture
    def refuse(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        action = importlib.import_module(f"{PLUGINS}.action.bundle_copy")
        monkeypatch.setattr(action, "ARCHIVE_SIZE", 20_000_000)
        files = {name: action.File(15_000_000, "") for name in "abc"}

        def run(**room: Any) -> None:
            action.refuse_without_room(
                "/srv/b", list(action.in_archives(files)), {"staging": "/tmp/s", **room}
            )

        return run

    def test_is_needed_for_all_files_and_one_archive(self, refuse: Any) -> None:
        with pytest.raises(Exception, match=r"/srv/b on the depot has 59\.9 MB free, and .* needs 60\.0 MB"):
            refuse(free=59_900_000, staging_free=59_900_000, staging_beside=True)
        refuse(free=60_100_000, staging_free=60_100_000, staging_beside=True)

    def test_for_the_archive_may_be_elsewhere(self, refuse: Any) -> None:
        with pytest.raises(Exception, match=r"/tmp/s on the depot has 14\.0 MB free, and .* needs 15\.0 MB"):
            refuse(free=90_000_000, staging_free=14_000_000, staging_beside=False)
        refuse(free=45_100_000, staging_free=15_100_000, staging_beside=False)


class TestMeanwhile:
    """What a device finds that asks while files come, and after they stopped coming."""

    @pytest.fixture
    def archives(self, source: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> List[Path]:
        """The files of the bundle, one in each archive."""
        action = importlib.import_module(f"{PLUGINS}.action.bundle_copy")
        monkeypatch.setattr(action, "ARCHIVE_SIZE", 1)
        packed = []
        for number, files in enumerate(action.in_archives(action.read_bundle(str(source.directory)))):
            packed.append(tmp_path / f"{number}.tar")
            with packed[-1].open("wb") as archive:
                action.pack(archive, str(source.directory), files)
        return packed

    def test_it_finds_all_that_the_timestamp_speaks_of(
        self, copy: Any, source: Bundle, depot: Bundle, monkeypatch: pytest.MonkeyPatch, run_module: Any
    ) -> None:
        copy()
        before = depot.files()
        source.blob(b"another model")
        source.target("releases/a.json", b"a release")
        source.sign(2)
        action = importlib.import_module(f"{PLUGINS}.action.bundle_copy")
        archive = depot.directory.parent / "all.tar"
        with archive.open("wb") as packed:
            action.pack(packed, str(source.directory), action.read_bundle(str(source.directory)))
        replace, seen = os.replace, []

        def watched(old: str, new: str) -> None:
            for _moment in ("before", "after"):
                there = {name: data for name, data in depot.files().items() if "/." not in name}
                newest = there["metadata/timestamp.json"] == b"timestamp 2"
                expected = source.files() if newest else before
                assert all(there[name] == data for name, data in expected.items() if name != "updates.json")
                seen.append(newest)
                if _moment == "before":
                    replace(old, new)

        monkeypatch.setattr(os, "replace", watched)
        run_module("bundle_copy", src=str(source.directory), dest=str(depot.directory), archive=str(archive))
        # The timestamp comes last of what is signed, and what is offered is there by the time it is offered.
        assert seen == [False] * (len(seen) - 3) + [True] * 3

    def test_a_copy_that_broke_off_goes_on_with_what_is_missing(
        self, copy: Any, source: Bundle, depot: Bundle, archives: List[Path], run_module: Any
    ) -> None:
        for archive in archives[:2]:
            run_module(
                "bundle_copy", src=str(source.directory), dest=str(depot.directory), archive=str(archive)
            )
        there = depot.files()
        assert len(there) == 2
        assert all(name.startswith("blobs/") for name in there)
        assert "sent 4 files, 0.0 MB" in copy()
        assert depot.files() == source.files()

    def test_what_a_power_cut_left_beside_is_written_over(
        self, copy: Any, source: Bundle, depot: Bundle
    ) -> None:
        (depot.directory / "metadata").mkdir(parents=True)
        (depot.directory / "metadata/.timestamp.json").write_bytes(b"half of it")
        copy()
        assert depot.files() == source.files()
