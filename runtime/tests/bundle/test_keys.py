"""Keys stay with their owner: outside the bundle, unreadable for others, the same for every bundle."""

from __future__ import annotations

import io
import re
import shutil
import stat
from pathlib import Path
from typing import Callable

import pytest

pytest.importorskip("cryptography", reason="signing needs cryptography (the extra 'workstation')")

from making import pack, write_release

from edgeai_runtime.bundle.keys import VARIABLE, Passphrase, new_key
from edgeai_runtime.bundle.trust_root import ROLES, open_keys
from edgeai_runtime.errors import InputError


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    directory = tmp_path / "keys"
    pack(tmp_path / "bundle", directory, [write_release(tmp_path / "1.0.0")])
    return directory


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    keys, output = tmp_path / "keys", tmp_path / "bundle"
    first = open_keys(keys, output)
    assert sorted(path.name for path in keys.glob("*.pem")) == sorted(f"{role}.pem" for role in ROLES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.glob("*.pem")} == {0o600}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert open_keys(keys, output).roots == first.roots


def test_every_bundle_of_these_keys_has_the_same_root(keys: Path, tmp_path: Path) -> None:
    pack(tmp_path / "second", keys)
    roots = [(tmp_path / name / "metadata" / "1.root.json").read_bytes() for name in ("bundle", "second")]
    assert roots[0] == roots[1]


def test_no_key_is_in_the_bundle(keys: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "bundle").rglob("*"):
        assert path.suffix != ".pem"
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes()


@pytest.mark.parametrize("where", ["", "keys", "metadata/keys"])
def test_keys_in_the_bundle_are_refused(tmp_path: Path, where: str) -> None:
    with pytest.raises(InputError, match="keys must not lie in the bundle"):
        open_keys(tmp_path / "bundle" / where, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def lose_one(keys: Path) -> None:
    (keys / "snapshot.pem").unlink()


def lose_all(keys: Path) -> None:
    shutil.rmtree(keys)


def open_to_others(keys: Path) -> None:
    (keys / "targets.pem").chmod(0o644)


def damage(keys: Path) -> None:
    (keys / "targets.pem").write_text("no key")


def exchange(keys: Path) -> None:
    shutil.rmtree(keys)
    open_keys(keys, keys.parent / "nowhere")


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lose_one, "1 keys must sign for snapshot and 0 are here, without snapshot; restore them"),
        (lose_all, "the keys of the bundle .* are missing; restore them"),
        (open_to_others, "others may read this key; run `chmod 600 .*targets.pem`"),
        (damage, "targets.pem: this is no readable key"),
        (exchange, "this bundle was signed with other keys than those in"),
    ],
)
def test_wrong_keys_are_refused_and_the_bundle_stays(
    keys: Path, tmp_path: Path, mistake: Callable[[Path], None], sentence: str
) -> None:
    mistake(keys)
    before = {path: path.read_bytes() for path in keys.parent.rglob("*") if path.is_file()}
    with pytest.raises(InputError) as caught:
        open_keys(keys, tmp_path / "bundle")
    assert re.search(sentence, caught.value.message)
    assert {path: path.read_bytes() for path in keys.parent.rglob("*") if path.is_file()} == before


def test_an_encrypted_key_wants_its_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, output = tmp_path / "keys", tmp_path / "bundle"
    monkeypatch.setenv(VARIABLE, "a long passphrase")
    open_keys(keys, output)
    assert all(b"ENCRYPTED" in path.read_bytes() for path in keys.glob("*.pem"))
    monkeypatch.setenv(VARIABLE, "another")
    with pytest.raises(InputError, match=r"targets\.pem: the passphrase is not that of this key"):
        open_keys(keys, output)
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(InputError, match="this key is encrypted; give its passphrase in a file"):
        open_keys(keys, output)
    (tmp_path / "passphrase").write_text("a long passphrase\n")
    assert open_keys(keys, output, Passphrase(tmp_path / "passphrase")).roots


def test_a_key_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("a long passphrase\n")
    given = Passphrase(tmp_path / "passphrase")
    assert new_key(tmp_path / "keys", "root-alice", given, check=True).changed
    assert not (tmp_path / "keys").exists()
    made = new_key(tmp_path / "keys", "root-alice", given)
    assert (made.changed, made.encrypted) == (True, True)
    again = new_key(tmp_path / "keys", "root-alice", given)
    assert (again.changed, again.actions, again.keyid) == (False, [], made.keyid)
    assert b"PUBLIC KEY" in Path(made.public).read_bytes()
    with pytest.raises(InputError, match="is no name for a key"):
        new_key(tmp_path / "keys", "../root", given)


@pytest.mark.parametrize("content", ["", "\n", "two\nlines\n"])
def test_a_passphrase_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "passphrase").write_text(content)
    with pytest.raises(InputError, match="expected is one line, the passphrase"):
        Passphrase(tmp_path / "passphrase").for_new()


def test_a_key_that_is_not_its_public_halfs_is_refused(keys: Path, tmp_path: Path) -> None:
    new_key(keys, "other", Passphrase())
    (keys / "targets.pem").write_bytes((keys / "other.pem").read_bytes())
    with pytest.raises(InputError, match=r"targets\.pem: targets\.pub belongs to another key"):
        open_keys(keys, tmp_path / "bundle")
