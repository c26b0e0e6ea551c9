"""`edgeai trust`: any TUF repository through the device's own client, as a suite for clients drives it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

pytest.importorskip("cryptography", reason="signing needs cryptography, which devices lack")

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

ROLES = ("root", "targets", "snapshot", "timestamp")


class Repository:
    """A TUF repository that is none of our bundles: versions from 1, a delegated role, keys of any kind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
        self.signers = {role: CryptoSigner.generate_ed25519() for role in (*ROLES, "made/by others")}
        self.signers["snapshot"] = CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256")
        self.signers["timestamp"] = CryptoSigner.generate_ecdsa()
        self.version = 0
        self.root = Root(1, None, self.expires, consistent_snapshot=True)
        for role in ROLES:
            self.root.add_key(self.signers[role].public_key, role)
        self.targets: Dict[str, Dict[str, bytes]] = {"targets": {}, "made/by others": {}}
        self._write("1.root.json", self.root, "root")
        self.publish()

    def rotate(self, role: str) -> None:
        before = self.signers["root"]
        self.root.revoke_key(self.signers[role].public_key.keyid, role)
        self.signers[role] = CryptoSigner.generate_ed25519()
        self.root.add_key(self.signers[role].public_key, role)
        self.root.version += 1
        self._write(f"{self.root.version}.root.json", self.root, "root", before)

    def publish(self) -> None:
        self.version += 1
        key = self.signers["made/by others"].public_key
        delegated = DelegatedRole("made/by others", [key.keyid], 1, False, ["others/*"])
        signed = {
            name: Targets(self.version, None, self.expires, dict(self._place(name))) for name in self.targets
        }
        signed["targets"].delegations = Delegations({key.keyid: key}, {delegated.name: delegated})
        for name, targets in signed.items():
            quoted = name.replace("/", "%2F").replace(" ", "%20")
            self._write(f"{self.version}.{quoted}.json", targets, name)
        meta = {f"{name}.json": MetaFile(self.version) for name in self.targets}
        self._write(
            f"{self.version}.snapshot.json", Snapshot(self.version, None, self.expires, meta), "snapshot"
        )
        timestamp = Timestamp(self.version, None, self.expires, MetaFile(self.version))
        self._write("timestamp.json", timestamp, "timestamp")

    def _place(self, role: str) -> Any:
        for name, content in self.targets[role].items():
            info = TargetFile.from_data(name, content, ["sha256"])
            directory, slash, leaf = name.rpartition("/")
            path = self.directory / "targets" / f"{directory}{slash}{info.hashes['sha256']}.{leaf}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            yield name, info

    def _write(self, file: str, signed: Any, role: str, *more: CryptoSigner) -> None:
        metadata: Metadata[Any] = Metadata(signed)
        for signer in (self.signers[role], *more):
            metadata.sign(signer, append=True)
        # A server finds what is asked for quoted under its unquoted name.
        path = self.directory / "metadata" / file.replace("%2F", "/").replace("%20", " ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(metadata.to_bytes())


class Outsider:
    """A suite's view of the client: a command line, exit statuses, the files in two directories."""

    def __init__(self, directory: Path, url: str) -> None:
        self.url = url
        self.metadata = directory / "client" / "metadata"
        self.artifacts = directory / "client" / "targets"
        self.metadata.mkdir(parents=True)
        self.artifacts.mkdir()
        self.said = ""

    def run(self, *words: str) -> int:
        command = [sys.executable, "-m", "edgeai_runtime", "trust", "--metadata-dir", str(self.metadata)]
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=60)
        self.said = done.stderr
        assert "Traceback" not in self.said
        return done.returncode

    def init(self, root: Path) -> int:
        return self.run("init", str(root))

    def refresh(self) -> int:
        return self.run("--metadata-url", f"{self.url}/metadata/", "refresh")

    def download(self, name: str, before: bool = True) -> int:
        options = ["--metadata-url", f"{self.url}/metadata", "--target-name", name]
        options += ["--target-base-url", f"{self.url}/targets", "--target-dir", str(self.artifacts)]
        return self.run(*options, "download") if before else self.run("download", *options)

    def versions(self) -> Dict[str, int]:
        return {path.stem: json.loads(path.read_bytes())["signed"]["version"] for path in self._files()}

    def _files(self) -> List[Path]:
        return sorted(self.metadata.glob("*.json"))

    def downloaded(self) -> List[bytes]:
        return sorted(path.read_bytes() for path in self.artifacts.iterdir())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def depot(repository: Repository, serve: Callable[[Path], Any]) -> Any:
    return serve(repository.directory)


@pytest.fixture
def outsider(tmp_path: Path, repository: Repository, depot: Any) -> Outsider:
    made = Outsider(tmp_path, depot.url)
    assert made.init(repository.directory / "metadata" / "1.root.json") == 0
    assert depot.requests == []
    return made


def test_refresh_takes_all_metadata_in_the_order_of_the_specification(outsider: Outsider, depot: Any) -> None:
    assert outsider.refresh() == 0
    asked = [path for path, _range in depot.requests]
    files = ("2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json")
    assert asked == [f"/metadata/{name}" for name in files]
    assert outsider.versions() == dict.fromkeys(ROLES, 1)


def test_what_is_known_is_not_asked_for_again(outsider: Outsider, depot: Any) -> None:
    assert outsider.refresh() == 0
    depot.requests.clear()
    assert outsider.refresh() == 0
    assert [path for path, _range in depot.requests] == ["/metadata/2.root.json", "/metadata/timestamp.json"]


@pytest.mark.parametrize("name", ["file.txt", "path/to/a/file.txt", "with blanks & ünicode.txt"])
@pytest.mark.parametrize("before", [True, False])
def test_download_brings_a_target(
    outsider: Outsider, repository: Repository, name: str, before: bool
) -> None:
    repository.targets["targets"][name] = b"content"
    repository.publish()
    assert outsider.download(name, before) == 0
    assert outsider.downloaded() == [b"content"]
    assert outsider.versions() == {**dict.fromkeys(ROLES, 2), "root": 1}


def test_download_brings_a_changed_target_in_the_place_of_the_old(
    outsider: Outsider, repository: Repository, depot: Any
) -> None:
    for content in (b"one", b"two"):
        repository.targets["targets"]["file"] = content
        repository.publish()
        assert outsider.download("file") == 0
        assert outsider.downloaded() == [content]
    depot.requests.clear()
    assert outsider.download("file") == 0
    assert not [path for path, _range in depot.requests if path.startswith("/targets/")]


def test_download_follows_a_delegation(outsider: Outsider, repository: Repository) -> None:
    repository.targets["made/by others"]["others/file"] = b"theirs"
    repository.publish()
    assert outsider.download("others/file") == 0
    assert outsider.downloaded() == [b"theirs"]
    assert outsider.versions()["made%2Fby%20others"] == 2


def test_a_target_nobody_signed_is_not_kept(outsider: Outsider, repository: Repository) -> None:
    repository.targets["targets"]["file"] = b"content"
    repository.publish()
    for path in (repository.directory / "targets").iterdir():
        path.write_bytes(b"forged!")
    assert outsider.download("file") == 1
    assert outsider.download("another file") == 1
    assert outsider.downloaded() == []


def test_a_client_that_slept_through_rotations_follows(outsider: Outsider, repository: Repository) -> None:
    for role in (*ROLES, "root"):
        repository.rotate(role)
    repository.publish()
    assert outsider.refresh() == 0
    assert outsider.versions() == {**dict.fromkeys(ROLES, 2), "root": 6}


def test_a_rotation_ends_a_fast_forward(outsider: Outsider, repository: Repository) -> None:
    repository.version = 99998
    repository.publish()
    assert outsider.refresh() == 0
    repository.version = 1
    repository.publish()
    assert outsider.refresh() == 1
    for role in ("snapshot", "timestamp"):
        repository.rotate(role)
    repository.publish()
    assert outsider.refresh() == 0
    assert outsider.versions() == {**dict.fromkeys(ROLES, 3), "root": 3}


def test_the_metadata_of_a_failed_refresh_is_what_was_verified(
    outsider: Outsider, repository: Repository
) -> None:
    assert outsider.refresh() == 0
    repository.expires -= timedelta(days=60)
    repository.rotate("targets")
    repository.publish()
    assert outsider.refresh() == 1
    assert "has expired" in outsider.said
    assert outsider.versions() == {**dict.fromkeys(ROLES, 1), "root": 2}


def test_a_root_that_is_none_ends_before_a_request(
    outsider: Outsider, repository: Repository, depot: Any, tmp_path: Path
) -> None:
    root = json.loads((repository.directory / "metadata" / "1.root.json").read_bytes())
    root["signatures"][0]["sig"] = "00" * 64
    (tmp_path / "forged.json").write_text(json.dumps(root))
    assert outsider.init(tmp_path / "forged.json") == 0
    assert outsider.refresh() == 1
    assert depot.requests == []


def test_what_is_missing_is_said(outsider: Outsider, tmp_path: Path) -> None:
    assert outsider.run("refresh") == 1
    assert "--metadata-url is missing" in outsider.said
    assert outsider.init(tmp_path / "nothing.json") == 1
    assert "nothing.json: cannot be copied" in outsider.said
    (outsider.metadata / "root.json").unlink()
    assert outsider.refresh() == 1
    assert "there is no root.json; run `edgeai trust … init` first" in outsider.said
