"""Keys stay with their owner: outside the bundle, unreadable for others, the same for every bundle."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path
from typing import Callable

import pytest

pytest.importorskip("cryptography", reason="signing needs cryptography (the extra 'workstation')")

from making import pack, write_release

from edgeai_runtime.bundle.keys import ROLES, open_keys
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
    assert open_keys(keys, output).root_json == first.root_json


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
    (keys / "root.pem").chmod(0o644)


def damage(keys: Path) -> None:
    (keys / "targets.pem").write_text("no key")


def exchange(keys: Path) -> None:
    shutil.rmtree(keys)
    open_keys(keys, keys.parent / "nowhere")


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lose_one, "the key snapshot.pem is missing; restore the keys"),
        (lose_all, "the key root.pem is missing; restore the keys"),
        (open_to_others, "others may read this key; run `chmod 600 .*root.pem`"),
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
