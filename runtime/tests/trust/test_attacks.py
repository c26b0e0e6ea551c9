"""The attacks of TUF's specification (1.5.2) and two of Uptane's, over HTTP against the device's own client.

The attacker owns the depot, or the network before it, and no key unless a test says so. Whatever is
refused is refused in one sentence, and the device is afterwards what it was before.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

from making import at, pack, provision, snapshot, write_release
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from edgeai_runtime.bundle.keys import Passphrase, new_key
from edgeai_runtime.bundle.signing import current_version
from edgeai_runtime.bundle.trust_root import open_keys, set_root, sign_root
from edgeai_runtime.errors import EdgeAIError, TransferError, TrustError
from edgeai_runtime.release import file_sha256, read_source
from edgeai_runtime.trust import clock, fetch_release, load_release, transfer
from edgeai_runtime.trust.alarms import alarms
from edgeai_runtime.trust.store import blob_name, blob_path

NAME = "label-reader"
MEMORY = re.compile(r"var/lib/edgeai/trust/[0-9a-f]{64}/")
SOON = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)


class Factory:
    """A device that fetched 1.0.0 and serves it, and a depot that the attacker holds."""

    def __init__(self, directory: Path, serve: Callable[[Path], Any]) -> None:
        self.directory = directory
        self.keys = directory / "keys"
        self.sources = [write_release(directory / "1.0.0")]
        self.bundle = pack(directory / "bundle", self.keys, self.sources)
        self.device = provision(directory / "device", self.bundle)
        self.depot = serve(self.bundle)
        fetch_release(self.device, at(self.depot.url), NAME, "1.0.0")
        self.device.generation(1).mkdir(parents=True)
        (self.device.generation(1) / "manifest.json").write_text("{}")
        self.device.state.write_text("{}")
        self.depot.requests.clear()

    def publish(self, version: str = "1.1.0", **bundle: Any) -> Path:
        """The workstation's next bundle, with one release more."""
        if not (self.directory / version).exists():
            self.sources.append(write_release(self.directory / version, version, f"model {version}".encode()))
        return pack(self.bundle, self.keys, self.sources, **bundle)

    def copy(self, name: str) -> Path:
        """The bundle as it is now, kept by the attacker."""
        shutil.copytree(self.bundle, self.directory / name)
        return self.directory / name

    def metadata(self, name: str) -> Path:
        return next(iter(sorted((self.bundle / "metadata").glob(name))))

    def fetch(self, version: str = "1.1.0") -> Any:
        return fetch_release(self.device, at(self.depot.url), NAME, version)

    def refuses(self, kind: Any, version: str = "1.1.0") -> str:
        """The sentence of the refusal; nothing that the device serves or knows of changed."""
        before = self._known()
        with pytest.raises(EdgeAIError) as caught:
            self.fetch(version)
        assert isinstance(caught.value, kind), caught.value
        assert "\n" not in caught.value.message
        assert self._known() == before
        assert load_release(self.device, NAME, "1.0.0").version == "1.0.0"
        return str(caught.value.message)

    def recovers(self, version: str = "1.1.0") -> None:
        """With the attacker gone the same command does what it should."""
        self.depot.forged.clear()
        self.depot.directory = self.bundle
        assert self.fetch(version).changed
        assert load_release(self.device, NAME, version).version == version

    def _known(self) -> Dict[str, Any]:
        # Blobs that were proved and metadata that was signed may be kept, and the journal tells of it:
        # none of them makes a release.
        return {
            name: digest
            for name, digest in snapshot(self.device).items()
            if "/store/" not in name and not MEMORY.match(name) and name != "var/lib/edgeai/journal.jsonl"
        }


@pytest.fixture
def factory(tmp_path: Path, serve: Callable[[Path], Any]) -> Factory:
    return Factory(tmp_path, serve)


def attackers_keys(factory: Factory) -> Any:
    """Keys like the workstation's, and not those."""
    return open_keys(factory.directory / "attackers-keys", factory.directory / "attackers-bundle")


def release_target(factory: Factory, version: str) -> Path:
    """Where the bundle has a release's manifest."""
    return next((factory.bundle / "targets" / "releases" / NAME).glob(f"*.{version}.json"))


class TestArbitraryInstallation:
    """The attacker gives what nobody signed."""

    def test_of_a_bundle_signed_by_others(self, factory: Factory) -> None:
        factory.publish()
        evil = write_release(factory.directory / "evil", "1.1.0", b"an evil model")
        factory.depot.directory = pack(factory.directory / "other", factory.directory / "other-keys", [evil])
        assert "is not signed by the keys this device trusts" in factory.refuses(TrustError)
        factory.recovers()

    def test_of_a_root_that_the_trusted_one_did_not_sign(self, factory: Factory) -> None:
        factory.publish()
        theirs = json.loads(attackers_keys(factory).roots[0])
        theirs["signed"]["version"] = 2
        factory.depot.forged["/metadata/2.root.json"] = json.dumps(theirs).encode()
        assert "is not signed by the keys this device trusts" in factory.refuses(TrustError)
        factory.recovers()

    def test_of_a_manifest(self, factory: Factory) -> None:
        factory.publish()
        manifest = release_target(factory, "1.1.0")
        forged = manifest.read_bytes().replace(b'"exact_match":0.95', b'"exact_match":0.05')
        factory.depot.forged[manifest.name] = forged
        assert "copy the bundle to the depot again" in factory.refuses(TrustError)
        factory.recovers()

    def test_of_a_model(self, factory: Factory) -> None:
        factory.publish()
        digest = file_sha256(factory.sources[-1] / "model.onnx")
        factory.depot.forged[digest] = b"model 6.6.6"
        assert "the content is not what was signed" in factory.refuses(TrustError)
        assert not blob_path(factory.device, digest).exists()
        factory.recovers()


class TestEndlessData:
    """The attacker answers without an end."""

    @staticmethod
    def zeros(lines: bytes = b"") -> Callable[[Any], None]:
        def write(wfile: Any) -> None:
            wfile.write(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
            while True:
                wfile.write(bytes(1 << 16))

        return write

    @pytest.mark.parametrize(
        ("name", "limit"),
        [("2.root.json", 512000), ("timestamp.json", 16384), ("snapshot.json", 2000000)],
    )
    @pytest.mark.parametrize("head", [b"", b"Content-Length: 999999999999999\r\n"])
    def test_of_metadata(self, factory: Factory, name: str, limit: int, head: bytes) -> None:
        factory.publish()
        factory.depot.forged[name] = self.zeros(head)
        assert f"the depot sends more than {limit} bytes" in factory.refuses(TransferError)
        factory.recovers()

    def test_of_a_manifest(self, factory: Factory) -> None:
        factory.publish()
        manifest = release_target(factory, "1.1.0")
        factory.depot.forged[manifest.name] = self.zeros()
        message = factory.refuses(TransferError)
        assert f"the depot sends more than {manifest.stat().st_size} bytes" in message
        factory.recovers()

    def test_of_a_model(self, factory: Factory) -> None:
        factory.publish()
        model = factory.sources[-1] / "model.onnx"
        factory.depot.forged[file_sha256(model)] = self.zeros()
        message = factory.refuses(TrustError)
        assert f"the depot sends more than the signed {model.stat().st_size} bytes" in message
        partial = factory.device.store / "partial" / file_sha256(model)
        assert partial.stat().st_size == 0
        factory.recovers()

    def test_of_a_file_whose_length_is_not_said(self, factory: Factory) -> None:
        factory.publish()
        factory.depot.forged["timestamp.json"] = self.zeros(b"Transfer-Encoding: chunked\r\n")
        assert "sends a file without its length" in factory.refuses(TransferError)
        factory.recovers()


class TestSlowRetrieval:
    """The attacker sends so slowly that the device would be busy, and locked, for ever (Uptane)."""

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transfer, "RATE_WINDOW_S", 0.2)
        monkeypatch.setattr(transfer, "ANSWER_LIMIT_S", 0.5)

    @staticmethod
    def drip(head: bytes) -> Callable[[Any], None]:
        def write(wfile: Any) -> None:
            wfile.write(head)
            while True:
                wfile.write(b" ")
                time.sleep(0.02)  # the attacker's slowness: a fiftieth of the lowest rate

        return write

    def test_of_metadata(self, factory: Factory) -> None:
        factory.publish()
        factory.depot.forged["timestamp.json"] = self.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        message = factory.refuses(TransferError)
        assert "the depot sends too slowly (" in message
        assert "expected are 1000 a second at least" in message
        factory.recovers()

    def test_of_a_model(self, factory: Factory) -> None:
        factory.sources.append(write_release(factory.directory / "1.1.0", "1.1.0", b" " * 100_000))
        factory.publish()
        digest = file_sha256(factory.sources[-1] / "model.onnx")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        factory.depot.forged[digest] = self.drip(head)
        assert "the depot sends too slowly (" in factory.refuses(TransferError)
        factory.recovers()

    def test_of_an_answers_head(self, factory: Factory) -> None:
        factory.publish()
        factory.depot.forged["timestamp.json"] = self.drip(b"HTTP/1.1 200 OK\r\nX: ")
        assert "no answer within 0.5 s" in factory.refuses(TransferError)
        factory.recovers()


class TestExtraneousDependencies:
    """The attacker makes the device take more than it needs."""

    def test_only_what_is_signed_is_asked_for(self, factory: Factory) -> None:
        factory.publish()
        release, _files = read_source(factory.sources[-1])
        (factory.bundle / "blobs" / "sha256" / "more").write_bytes(b"more")
        factory.recovers()
        asked = {path.rpartition("/")[2] for path, _range in factory.depot.requests if "/blobs/" in path}
        assert asked < {blob.sha256 for blob in release.blobs}

    def test_a_file_added_to_a_manifest_is_refused(self, factory: Factory) -> None:
        factory.publish()
        manifest = release_target(factory, "1.1.0")
        content = json.loads(manifest.read_bytes())
        content["files"] = [{"sha256": "0" * 64, "size": 1}]
        factory.depot.forged[manifest.name] = json.dumps(content).encode()
        factory.refuses(EdgeAIError)
        factory.recovers()

    def test_a_target_added_to_the_metadata_is_refused(self, factory: Factory) -> None:
        factory.publish()
        targets = factory.metadata("*.targets.json")
        content = json.loads(targets.read_bytes())
        content["signed"]["targets"]["more.json"] = {"length": 1, "hashes": {"sha256": "0" * 64}}
        factory.depot.forged[targets.name] = json.dumps(content).encode()
        assert "is not signed by the keys this device trusts" in factory.refuses(TrustError)
        factory.recovers()


class TestRollback:
    """The attacker gives what was signed once and was replaced."""

    def test_to_an_older_bundle(self, factory: Factory) -> None:
        old = factory.copy("old")
        factory.publish()
        factory.recovers()
        factory.depot.directory = old
        assert "is older than one this device has seen" in factory.refuses(TrustError, "1.0.0")

    def test_to_an_older_bundle_under_the_newest_timestamp(self, factory: Factory) -> None:
        old = factory.copy("old")
        factory.publish()
        factory.depot.directory = old
        factory.depot.forged["timestamp.json"] = factory.metadata("timestamp.json").read_bytes()
        assert "the depot does not have this file" in factory.refuses(TransferError)
        factory.recovers()

    def test_is_refused_though_the_device_lost_power_after_it_saw_the_newer(self, factory: Factory) -> None:
        old = factory.copy("old")
        factory.publish()
        factory.depot.forged[file_sha256(factory.sources[-1] / "model.onnx")] = b""
        factory.refuses(TrustError)  # the metadata came, the model did not
        factory.depot.directory = old
        assert "is older than one this device has seen" in factory.refuses(TrustError, "1.0.0")
        factory.recovers()


class TestFastForward:
    """The attacker, with stolen online keys, makes devices see a version that nothing can follow."""

    @staticmethod
    def attack(factory: Factory) -> None:
        keys = open_keys(factory.keys, factory.bundle)
        metadata = factory.bundle / "metadata"
        newest, last = current_version(metadata), 2**62
        meta = {"targets.json": MetaFile(newest)}
        forged = keys.sign("snapshot", Metadata(Snapshot(version=last, expires=SOON, meta=meta)))
        factory.depot.forged[f"{last}.snapshot.json"] = forged
        timestamp = Timestamp(version=last, expires=SOON, snapshot_meta=MetaFile(last))
        factory.depot.forged["timestamp.json"] = keys.sign("timestamp", Metadata(timestamp))

    def test_stops_updates_and_nothing_else(self, factory: Factory) -> None:
        self.attack(factory)
        assert not factory.fetch("1.0.0").changed
        factory.depot.forged.clear()
        factory.publish()
        assert "is older than one this device has seen" in factory.refuses(TrustError)

    def test_ends_with_new_keys_for_what_was_stolen(self, factory: Factory) -> None:
        self.attack(factory)
        factory.fetch("1.0.0")
        roles = {}
        for role in ("snapshot", "timestamp"):
            new_key(factory.keys, f"{role}-2", Passphrase())
            roles[role] = (1, [f"{role}-2"])
        assert set_root(factory.keys, roles).in_force
        factory.publish()
        factory.recovers()


class TestIndefiniteFreeze:
    """The attacker goes on giving what was the newest once."""

    def test_ends_with_the_bundles_expiry(self, factory: Factory) -> None:
        frozen = pack(
            factory.directory / "frozen",
            factory.keys,
            factory.sources,
            ago=timedelta(days=-1),  # newer than what the device saw
            expires=timedelta(days=-2),
        )
        factory.depot.directory = frozen
        message = factory.refuses(TrustError, "1.0.0")
        assert "the bundle has expired" in message
        assert "what serves goes on serving, but only a fresh bundle is taken" in message
        factory.publish()
        factory.recovers()

    @pytest.mark.parametrize("days", [2, -20000], ids=["days later", "with the clock set back as well"])
    def test_is_told_and_what_serves_goes_on(
        self, factory: Factory, monkeypatch: pytest.MonkeyPatch, days: int
    ) -> None:
        frozen = factory.copy("frozen")
        later = datetime.now(timezone.utc) + timedelta(days=2)
        with open(factory.device.journal, "a") as journal:  # what the keeper wrote since
            journal.write(json.dumps({"time": later.isoformat(), "event": "confirmed"}) + "\n")
        monkeypatch.setattr(clock, "system_time", lambda: datetime.now(timezone.utc) + timedelta(days=days))
        factory.depot.directory = frozen
        assert "the bundle has expired" in factory.refuses(TrustError, "1.0.0")
        assert any(
            "it goes on serving and takes only a fresh one" in said for said in alarms(factory.device, {})
        )
        factory.publish(expires=timedelta(days=5))
        factory.recovers()
        assert not any("takes only a fresh one" in said for said in alarms(factory.device, {}))

    def test_by_keeping_the_timestamp_back_is_told(self, factory: Factory) -> None:
        factory.depot.forged["timestamp.json"] = lambda wfile: wfile.write(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        )
        assert "timestamp.json: the depot does not have this file" in factory.refuses(TransferError, "1.0.0")


class TestMaliciousMirror:
    """The attacker's depot gives anything at all, and must not spoil the device for the right one."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"no HTTP",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
            b"HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
            b"HTTP/1.1 200 OK\r\nContent-Length: 16000\r\n\r\n" + b"[" * 16000,
            b"",
        ],
        ids=["no HTTP", "cut", "word", "negative", "redirect", "error", "no text", "list", "deep", "nothing"],
    )
    @pytest.mark.parametrize("name", ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"])
    def test_is_refused_in_one_sentence(self, factory: Factory, name: str, answer: bytes) -> None:
        factory.publish()
        factory.depot.forged[name] = lambda wfile: wfile.write(answer)
        assert factory.refuses((TransferError, TrustError)).startswith(factory.depot.url)
        factory.recovers()


class TestMixAndMatch:
    """The attacker puts together what was signed, and never at one time."""

    def test_of_new_and_old_targets(self, factory: Factory) -> None:
        old = factory.metadata("*.targets.json").read_bytes()
        factory.publish()
        factory.depot.forged[factory.metadata("*.targets.json").name] = old
        assert "put together from several" in factory.refuses(TrustError)
        factory.recovers()

    def test_of_new_and_old_snapshots(self, factory: Factory) -> None:
        old = factory.metadata("*.snapshot.json").read_bytes()
        factory.publish()
        factory.depot.forged[factory.metadata("*.snapshot.json").name] = old
        assert "put together from several" in factory.refuses(TrustError)
        factory.recovers()

    def test_of_two_releases(self, factory: Factory) -> None:
        factory.publish()
        old = release_target(factory, "1.0.0").read_bytes()
        factory.depot.forged[release_target(factory, "1.1.0").name] = old
        factory.refuses((TransferError, TrustError))
        factory.recovers()


class TestKeyCompromise:
    """The attacker stole keys, and too few of them."""

    @pytest.fixture
    def stolen(self, factory: Factory) -> Any:
        """The keys of timestamp and snapshot, and one of the attacker's own for targets."""
        keys = open_keys(factory.keys, factory.bundle)
        theirs = attackers_keys(factory)
        keys._signers = {**theirs._signers, **{r: keys._signers[r] for r in ("timestamp", "snapshot")}}
        return keys

    def test_of_timestamp_and_snapshot_gives_no_release(self, factory: Factory, stolen: Any) -> None:
        factory.publish()
        evil, files = read_source(write_release(factory.directory / "evil", "1.1.0", b"an evil model"))
        manifest, version = evil.to_json(), 2**40
        name = f"releases/{NAME}/1.1.0.json"
        targets = Targets(version, None, SOON, {name: TargetFile.from_data(name, manifest, ["sha256"])})
        snapshot_ = Snapshot(version, None, SOON, {"targets.json": MetaFile(version)})
        timestamp = Timestamp(version, None, SOON, MetaFile(version))
        factory.depot.forged.update(
            {
                f"{version}.targets.json": stolen.sign("targets", Metadata(targets)),
                f"{version}.snapshot.json": stolen.sign("snapshot", Metadata(snapshot_)),
                "timestamp.json": stolen.sign("timestamp", Metadata(timestamp)),
                **{digest: path.read_bytes() for digest, path in files.items()},
            }
        )
        assert "is not signed by the keys this device trusts" in factory.refuses(TrustError)

    @pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
    def test_of_one_key_of_two(self, factory: Factory, role: str) -> None:
        stolen = factory.directory / "stolen"
        for number in (2, 3):
            new_key(factory.keys, f"{role}-{number}", Passphrase())
        names = [role, f"{role}-2", f"{role}-3"]
        assert set_root(factory.keys, {role: (2, names)}).in_force
        shutil.copytree(factory.keys, stolen)
        bundle = factory.publish()
        assert factory.fetch().changed
        # The thief has all of the other roles' keys, one of this role's, and says that one is enough.
        for name in names[1:]:
            (stolen / f"{name}.pem").unlink()
        if role == "root":
            new_key(stolen, "mine", Passphrase())
            set_root(stolen, {"root": (1, ["mine"])})
            forged = sign_root(stolen)
            assert forged.missing == ["the root before wants 1 more of root-2, root-3"]
            factory.depot.forged["3.root.json"] = (stolen / "next-root.json").read_bytes()
        else:
            root = Metadata.from_bytes((stolen / "root.json").read_bytes())
            root.signed.roles[role].threshold = 1
            (stolen / "root.json").write_bytes(root.to_bytes())
            theirs = open_keys(stolen, factory.directory / "nowhere")
            version = current_version(bundle / "metadata")
            newer = {
                "targets": Targets(version + 1, None, SOON, {}),
                "snapshot": Snapshot(version + 1, None, SOON, {"targets.json": MetaFile(version + 1)}),
                "timestamp": Timestamp(version + 1, None, SOON, MetaFile(version + 1)),
            }
            for name, signed in newer.items():
                file = "timestamp.json" if name == "timestamp" else f"{version + 1}.{name}.json"
                factory.depot.forged[file] = theirs.sign(name, Metadata(signed))
        assert "is not signed by the keys this device trusts" in factory.refuses(TrustError)
        for _turn in range(2):  # what was signed with keys that were enough counts: newer than that
            factory.publish("1.2.0")
        factory.recovers("1.2.0")


class TestWrongSoftware:
    """The attacker gives what is signed, and for something else."""

    def test_of_another_version(self, factory: Factory, tmp_path: Path) -> None:
        factory.publish()
        keys = open_keys(factory.keys, factory.bundle)
        # As if the workstation itself had been made to sign 1.0.0 in the place of 1.1.0.
        manifest = release_target(factory, "1.0.0").read_bytes()
        name, version = f"releases/{NAME}/1.1.0.json", current_version(factory.bundle / "metadata") + 1
        info = TargetFile.from_data(name, manifest, ["sha256"])
        signed = keys.sign("targets", Metadata(Targets(version, None, SOON, {name: info})))
        snapshot_ = Snapshot(version, None, SOON, {"targets.json": MetaFile(version)})
        timestamp = Timestamp(version, None, SOON, MetaFile(version))
        factory.depot.forged.update(
            {
                f"{version}.targets.json": signed,
                f"{version}.snapshot.json": keys.sign("snapshot", Metadata(snapshot_)),
                "timestamp.json": keys.sign("timestamp", Metadata(timestamp)),
                f"{info.hashes['sha256']}.1.1.0.json": manifest,
            }
        )
        assert "the manifest is of label-reader 1.0.0" in factory.refuses(TrustError)

    def test_of_another_class(self, factory: Factory) -> None:
        factory.publish()
        with pytest.raises(EdgeAIError, match="jetson"):
            fetch_release(factory.device, at(factory.depot.url, "jetson"), NAME, "1.1.0")
        assert not any("/blobs/" in path for path, _range in factory.depot.requests)


class TestPartialBundle:
    """The attacker lets a part through and keeps the rest (Uptane)."""

    def test_is_no_release(self, factory: Factory) -> None:
        factory.publish()
        release, _files = read_source(factory.sources[-1])
        new = {blob.sha256 for blob in release.blobs if not blob_path(factory.device, blob.sha256).is_file()}
        assert new
        for digest in sorted(new):
            blob = factory.bundle / blob_name(digest)
            content = blob.read_bytes()
            blob.unlink()
            assert "the depot does not have this file" in factory.refuses(TransferError)
            blob.write_bytes(content)
        factory.recovers()

    def test_of_metadata_is_no_bundle(self, factory: Factory) -> None:
        factory.publish()
        for name in ("*.snapshot.json", "*.targets.json"):  # in the order of asking
            path = factory.metadata(name)
            content = path.read_bytes()
            path.unlink()
            assert f"{path.name}: the depot does not have this file" in factory.refuses(TransferError)
            path.write_bytes(content)
        factory.recovers()
