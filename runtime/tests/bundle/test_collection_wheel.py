"""The collection as a wheel: what Galaxy's list names, and nothing else; equal files give equal bytes."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Dict

import pytest
from making import write_collection

from edgeai_runtime.bundle.collection_wheel import build_collection_wheel
from edgeai_runtime.errors import InputError

FILES = {"playbooks/site.yml": "[]\n", "plugins/modules/bundle.py": "pass\n", "README.md": "read me\n"}
WITHIN = "ansible_collections/edgeai/fleet/"


def build(collection: Path) -> Path:
    return build_collection_wheel(collection, collection.with_name("cache"), lambda sentence: None)


def content(wheel: Path) -> Dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_installs_where_ansible_looks(tmp_path: Path) -> None:
    wheel = build(write_collection(tmp_path / "fleet", FILES))
    assert wheel.name == "edgeai_fleet-1.0.0-py3-none-any.whl"
    packed = content(wheel)
    assert {name: packed[WITHIN + name].decode() for name in FILES} == FILES


def test_what_lies_beside_the_collections_files_stays_out(tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "fleet", FILES)
    (collection / "vault.yml").write_text("a secret")
    assert WITHIN + "vault.yml" not in content(build(collection))


def test_equal_files_give_equal_bytes_whatever_their_order(tmp_path: Path) -> None:
    one = build(write_collection(tmp_path / "one" / "fleet", FILES))
    other = build(write_collection(tmp_path / "other" / "fleet", dict(reversed(list(FILES.items())))))
    assert one.read_bytes() == other.read_bytes()


def test_its_lists_say_what_is_in_it(tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "fleet", FILES)
    (collection / "README.md").write_text("read me too\n")
    packed = content(build(collection))
    listed = json.loads(packed[WITHIN + "FILES.json"])["files"]
    digests = {entry["name"]: entry["chksum_sha256"] for entry in listed if entry["ftype"] == "file"}
    assert digests["README.md"] == hashlib.sha256(b"read me too\n").hexdigest()
    manifest = json.loads(packed[WITHIN + "MANIFEST.json"])
    told = manifest["file_manifest_file"]["chksum_sha256"]
    assert told == hashlib.sha256(packed[WITHIN + "FILES.json"]).hexdigest()


def test_a_prerelease_has_a_name_that_can_be_installed(tmp_path: Path) -> None:
    wheel = build(write_collection(tmp_path / "fleet", FILES, version="1.0.0-rc.1"))
    assert wheel.name == "edgeai_fleet-1.0.0_rc.1-py3-none-any.whl"


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "fleet", FILES)
    (collection / "README.md").unlink()
    with pytest.raises(InputError, match=r"README\.md: this file of the collection cannot be read"):
        build(collection)


def test_a_directory_without_a_collection_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no collection here"):
        build(tmp_path)
