"""The root of trust: thresholds, signatures that come one after the other, keys that come and go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

pytest.importorskip("cryptography", reason="signing needs cryptography (the extra 'workstation')")

from making import at, pack, provision, write_release

from edgeai_runtime.bundle.keys import Passphrase, new_key
from edgeai_runtime.bundle.revocation import revoke
from edgeai_runtime.bundle.trust_root import open_keys, set_root, show_root, sign_root
from edgeai_runtime.cli import main
from edgeai_runtime.errors import InputError, TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust import fetch_release, load_release
from edgeai_runtime.trust.alarms import alarms

NAME = "label-reader"


def content(directory: Path) -> Dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The easy start: four keys, a bundle, a device that took it."""
    pack(tmp_path / "bundle", tmp_path / "keys", [write_release(tmp_path / "1.0.0")])
    return tmp_path / "keys"


@pytest.fixture
def device(tmp_path: Path, keys: Path) -> Paths:
    device = provision(tmp_path / "device", tmp_path / "bundle")
    fetch(device, "1.0.0")
    return device


def fetch(device: Paths, version: str) -> Any:
    return fetch_release(device, at(f"file://{device.root.parent}/bundle"), NAME, version)


def publish(keys: Path, *versions: str) -> None:
    place = keys.parent
    for version in versions:
        if not (place / version).exists():
            write_release(place / version, version, f"model {version}".encode())
    pack(place / "bundle", keys, [place / version for version in versions])


def people(directory: Path, *names: str) -> List[Path]:
    """Each of them makes a key where nobody else is, and gives the public half."""
    places = []
    for name in names:
        new_key(directory.parent / name, f"root-{name}", Passphrase())
        shutil.copy(directory.parent / name / f"root-{name}.pub", directory)
        places.append(directory.parent / name)
    return places


class TestThresholds:
    def test_a_root_of_two_of_three_is_in_force_once_two_have_signed(self, keys: Path, device: Paths) -> None:
        alice, bob, _carol = people(keys, "alice", "bob", "carol")
        roles = {"root": (2, ["root-alice", "root-bob", "root-carol"])}
        proposed = set_root(keys, roles)
        assert (proposed.version, proposed.in_force, proposed.changed) == (2, False, True)
        assert proposed.missing == ["the new root wants 2 more of root-alice, root-bob, root-carol"]
        stick = keys.parent / "stick" / "next-root.json"
        stick.parent.mkdir()
        shutil.copy(keys / "next-root.json", stick)
        assert sign_root(alice, stick).missing == ["the new root wants 1 more of root-bob, root-carol"]
        assert sign_root(bob, stick).missing == []
        assert not sign_root(bob, stick).changed
        assert show_root(keys).missing == proposed.missing
        shutil.copy(stick, keys / "next-root.json")
        done = sign_root(keys)
        assert (done.in_force, done.actions) == (True, ["put root version 2 in force"])
        assert not (keys / "next-root.json").exists()
        assert not set_root(keys, roles).changed
        publish(keys, "1.0.0", "1.1.0")
        assert fetch(device, "1.1.0").changed

    def test_the_same_words_again_finish_what_others_have_signed(self, keys: Path) -> None:
        (alice,) = people(keys, "alice")
        roles = {"root": (1, ["root-alice"])}
        assert not set_root(keys, roles).in_force
        assert not set_root(keys, roles).changed
        sign_root(alice, keys / "next-root.json")
        assert set_root(keys, roles).in_force

    def test_a_bundle_wants_as_many_keys_as_its_roles(self, keys: Path, device: Paths) -> None:
        for name in ("targets-2", "targets-3"):
            new_key(keys, name, Passphrase())
        assert set_root(keys, {"targets": (2, ["targets", "targets-2", "targets-3"])}).in_force
        (keys / "targets.pem").unlink()
        publish(keys, "1.0.0", "1.1.0")
        assert fetch(device, "1.1.0").changed
        (keys / "targets-2.pem").unlink()
        with pytest.raises(
            InputError, match="2 keys must sign for targets and 1 are here, without targets, "
        ):
            publish(keys, "1.0.0")

    def test_the_first_root_may_have_them_too(self, tmp_path: Path) -> None:
        keys = tmp_path / "keys"
        for name in ("a", "b"):
            new_key(keys, name, Passphrase())
        roles = {"root": (2, ["a", "b"])}
        assert set_root(keys, roles, check=True).actions == ["would make root version 1"]
        assert not (keys / "root.json").exists()
        assert set_root(keys, roles).in_force
        pack(tmp_path / "bundle", keys, [write_release(tmp_path / "1.0.0")])
        assert fetch(provision(tmp_path / "device", tmp_path / "bundle"), "1.0.0").changed

    @pytest.mark.parametrize(
        ("role", "sentence"),
        [
            ((2, ["root"]), "cannot want 2 signatures of 1 different keys"),
            ((0, ["root"]), "cannot want 0 signatures"),
            ((1, ["root", "root"]), "cannot want 1 signatures of 1 different keys"),
            ((1, ["nobody"]), r"nobody\.pub: there is no such key; make it with `edgeai key new`"),
        ],
    )
    def test_what_cannot_be_is_refused(self, keys: Path, role: Any, sentence: str) -> None:
        before = content(keys)
        with pytest.raises(InputError, match=sentence):
            set_root(keys, {"root": role})
        assert content(keys) == before


class TestRotation:
    def test_a_device_that_slept_through_several_follows(self, keys: Path, device: Paths) -> None:
        for number in range(2, 5):
            for role in ("root", "targets", "snapshot", "timestamp"):
                new_key(keys, f"{role}-{number}", Passphrase())
                assert set_root(keys, {role: (1, [f"{role}-{number}"])}).in_force
            publish(keys, "1.0.0", f"1.{number}.0")
        for old in ("root", "targets-2", "snapshot-3"):
            (keys / f"{old}.pem").unlink()
        publish(keys, "1.0.0", "1.4.0")
        assert len(list((keys.parent / "bundle" / "metadata").glob("*.root.json"))) == 13
        assert fetch(device, "1.4.0").changed
        events = [json.loads(line) for line in device.journal.read_text().splitlines()]
        followed = [(line["before"], line["after"]) for line in events if line["event"] == "root_followed"]
        assert followed == [(1, 13)]

    def test_an_old_key_signs_nothing_any_more(self, keys: Path, device: Paths) -> None:
        stolen = keys.parent / "stolen"
        shutil.copytree(keys, stolen)
        new_key(keys, "targets-2", Passphrase())
        set_root(keys, {"targets": (1, ["targets-2"])})
        publish(keys, "1.0.0", "1.1.0")
        assert fetch(device, "1.1.0").changed
        publish(stolen, "1.0.0", "1.2.0")
        with pytest.raises(TrustError, match="is not signed by the keys this device trusts"):
            fetch(device, "1.2.0")

    def test_a_root_the_old_keys_did_not_sign_is_not_in_force(self, keys: Path) -> None:
        (keys / "root.pem").unlink()
        new_key(keys, "root-2", Passphrase())
        proposed = set_root(keys, {"root": (1, ["root-2"])})
        assert (proposed.in_force, proposed.missing) == (False, ["the root before wants 1 more of root"])

    def test_a_root_near_its_end_is_renewed(self, keys: Path) -> None:
        assert set_root(keys, {}, expires_days=30).version == 2
        assert not set_root(keys, {}, expires_days=30).changed
        assert set_root(keys, {}, expires_days=100).version == 3

    def test_a_check_changes_nothing(self, keys: Path) -> None:
        new_key(keys, "targets-2", Passphrase())
        before = content(keys)
        forecast = set_root(keys, {"targets": (1, ["targets-2"])}, check=True)
        assert forecast.actions == [
            "would sign root version 2 with root",
            "would put root version 2 in force",
        ]
        assert content(keys) == before

    def test_a_proposal_that_is_not_wanted_any_more_is_dropped(self, keys: Path) -> None:
        people(keys, "alice")
        set_root(keys, {"root": (1, ["root-alice"])})
        assert set_root(keys, {"root": (1, ["root"])}).actions == [
            f"dropped the proposal {keys / 'next-root.json'}"
        ]
        assert not (keys / "next-root.json").exists()

    def test_a_root_between_that_is_lost_is_named(self, keys: Path, tmp_path: Path) -> None:
        set_root(keys, {}, expires_days=30)
        (keys / "roots" / "1.root.json").unlink()
        with pytest.raises(InputError, match=r"1\.root\.json: this root is missing"):
            open_keys(keys, tmp_path / "bundle")


class TestRevocation:
    def test_of_a_release_is_told_by_the_device(self, keys: Path, device: Paths) -> None:
        assert revoke(keys, NAME, "1.0.0", "reads 8 as B", check=True).changed
        assert revoke(keys, NAME, "1.0.0", "reads 8 as B").changed
        assert not revoke(keys, NAME, "1.0.0", "reads 8 as B").changed
        publish(keys, "1.1.0")
        fetch(device, "1.1.0")
        sentence = r"label-reader 1\.0\.0 was revoked \(reads 8 as B\); choose another version"
        with pytest.raises(TrustError, match=sentence):
            fetch(device, "1.0.0")
        with pytest.raises(TrustError, match=sentence):
            load_release(device, NAME, "1.0.0")
        assert alarms(device, {NAME: "1.0.0"})[0].startswith("label-reader 1.0.0 is served and was revoked")
        assert alarms(device, {NAME: "1.1.0"}) == []

    def test_wants_a_reason(self, keys: Path) -> None:
        with pytest.raises(InputError, match="wants its reason in one line"):
            revoke(keys, NAME, "1.0.0", " ")


def test_the_command_line_shows_who_signs_for_what(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> str:
        assert main([*words, "--keys", str(keys)]) == 0
        return capsys.readouterr().out

    run("key", "new", "targets-2")
    run("trust-root", "set", "--role", "targets=2:targets,targets-2")
    shown = run("trust-root", "show")
    assert "version: 2" in shown
    assert "targets    2          targets, targets-2" in shown
    run("release", "revoke", NAME, "1.0.0", "--reason", "reads 8 as B")
    with pytest.raises(SystemExit):
        main(["trust-root", "set", "--keys", str(keys), "--role", "mirrors=1:a"])
    assert "is not ROLE=[THRESHOLD:]KEY" in capsys.readouterr().err
