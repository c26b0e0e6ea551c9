"""How a bundle is read: by the controller, with the controller's own root of trust, wherever it lies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

FAILED = {"ok": False, "error": {"kind": "transfer", "message": "The depot is not there.", "details": {}}}
# Answers with the files in the directory that it is told of, and keeps a hostile bundle's word for nothing.
LISTS = """
import json, pathlib, sys
found = pathlib.Path(sys.argv[sys.argv.index("--depot") + 1][len("file://"):])
names = sorted(str(path.relative_to(found)) for path in found.rglob("*") if path.is_file())
print(json.dumps({"ok": True, "targets": names, "releases": {}}))
"""
REFUSES = """
import json, sys
said = sys.argv[sys.argv.index("--depot") + 1] + ": the bundle has expired."
print(json.dumps({"ok": False, "error": {"kind": "untrusted", "message": said}}))
sys.exit(1)
"""


@pytest.fixture
def read(run_action: Callable[..., Dict[str, Any]], tmp_path: Path) -> Callable[..., Dict[str, Any]]:
    """Run the action with a root of trust, and a `program` in place of `edgeai_runtime`."""

    def run(program: str = "", **arguments: Any) -> Dict[str, Any]:
        root_json, python = tmp_path / "1.root.json", tmp_path / "python"
        root_json.touch()
        if program:
            (tmp_path / "program.py").write_text(program)
            python.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/program.py "$@"\n')
            python.chmod(0o755)
        return run_action("bundle_info", **{"root_json": str(root_json), "python": str(python), **arguments})

    return run


@pytest.fixture
def asked(device: Any, tmp_path: Path) -> Callable[..., List[str]]:
    """A python whose `edgeai_runtime` is the double of the device."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift 2 && exec {device.command} "$@"\n')
    python.chmod(0o755)
    return lambda: device.asked[0]


def test_that_cannot_be_read_fails_outside_check_mode(device: Any, read: Any, asked: Any) -> None:
    device.answers(FAILED, FAILED, status=1)
    predicted = read(check=True, depot_url="http://d")
    assert (predicted["readable"], predicted["locks"]) == (False, {})
    assert "The depot is not there." in predicted["msg"]
    assert read(depot_url="http://d")["failed"] is True


def test_behind_tls_is_read_with_the_factorys_ca(device: Any, read: Any, asked: Any) -> None:
    device.answers({"ok": True, "targets": [], "releases": {}})
    read(depot_url="https://d", ca="/ca.pem")
    words = " ".join(asked())
    assert "--ca /ca.pem" in words
    assert "--depot https://d" in words


class TestInADirectoryOfTheHost:
    def test_what_is_signed_comes_to_the_controller(self, read: Any, tmp_path: Path) -> None:
        digest = 64 * "a"
        names = ["metadata/1.root.json", "metadata/timestamp.json", f"targets/locks/{digest}.x.json"]
        for name in [*names, f"blobs/sha256/aa/{digest}", "metadata/.hidden.json", "targets/no-digest.json"]:
            (tmp_path / "bundle" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "bundle" / name).write_text(name)
        assert read(LISTS, directory=str(tmp_path / "bundle"))["targets"] == names

    def test_a_link_in_it_leads_nowhere(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "bundle/targets").mkdir(parents=True)
        (tmp_path / "bundle/metadata").mkdir()
        (tmp_path / "bundle/metadata/timestamp.json").touch()
        (tmp_path / "bundle/metadata/2.root.json").symlink_to("/etc/passwd")
        assert read(LISTS, directory=str(tmp_path / "bundle"))["targets"] == ["metadata/timestamp.json"]

    def test_is_called_by_its_name_when_it_is_refused(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "bundle/targets").mkdir(parents=True)
        (tmp_path / "bundle/metadata").mkdir()
        (tmp_path / "bundle/metadata/timestamp.json").touch()
        result = read(REFUSES, directory=str(tmp_path / "bundle"))
        assert (result["kind"], result["msg"]) == ("untrusted", f"{tmp_path}/bundle: the bundle has expired.")

    @pytest.mark.parametrize("made", ["", "bundle", "bundle/metadata"])
    def test_where_there_is_none_a_sentence_says_so(self, read: Any, tmp_path: Path, made: str) -> None:
        (tmp_path / made).mkdir(parents=True, exist_ok=True)
        result = read(LISTS, directory=str(tmp_path / "bundle"))
        assert result["failed"] is True
        assert result["msg"].startswith(f"{tmp_path}/bundle: there is no bundle on this host")
        assert read(LISTS, check=True, directory=str(tmp_path / "bundle"))["readable"] is False


def test_without_a_root_of_trust_on_the_controller_nothing_is_read(read: Any) -> None:
    result = read(LISTS, directory="/nowhere", root_json="/nowhere/1.root.json")
    assert result["failed"] is True
    assert "/nowhere/1.root.json: the root of trust is not on the controller" in result["msg"]
    assert "depot_root_json" in result["msg"]


@pytest.mark.parametrize("places", [{}, {"depot_url": "http://d", "directory": "/d"}])
def test_it_lies_in_one_place(read: Any, places: Dict[str, str]) -> None:
    assert read(LISTS, **places)["failed"] is True
