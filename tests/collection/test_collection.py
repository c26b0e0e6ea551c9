"""What the tarball holds, and that it is all a user needs."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Dict, Iterator, Set

import pytest
from small_fleet import BIN, REPO, Fleet
from toy_releases import write_release

from edgeai_runtime.bundle.collection_wheel import build_collection_wheel

LIMIT = 5 * 1024 * 1024  # bytes
SHIPPED = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "README.zh-CN.md",
    "changelogs/changelog.yaml",
    "docs/architecture.md",
    "inventories/factory/hosts.yml",
    "meta/execution-environment.yml",
    "meta/runtime.yml",
    "playbooks/site.yml",
    "plugins/modules/health_info.py",
    "roles/runtime/meta/argument_specs.yml",
    "runtime/locks/aarch64-cp311-cpu.txt",
    "runtime/locks/controller-x86_64-cp311.txt",
    "runtime/pyproject.toml",
    "runtime/src/edgeai_keeper/keeper.py",
}
WORKSHOP = {"Makefile", "ansible.cfg", "benchmarks", "molecule", "mypy.ini", "ruff.toml", "tests", "tools"}


def names(tarball: Path) -> Set[str]:
    with tarfile.open(tarball) as archive:
        return {member.name for member in archive.getmembers() if member.isfile()}


def test_the_tarball_is_small(tarball: Path) -> None:
    assert tarball.stat().st_size <= LIMIT


def test_it_ships_what_a_user_needs(tarball: Path) -> None:
    assert SHIPPED - names(tarball) == set()


def test_it_ships_nothing_of_the_workshop(tarball: Path) -> None:
    shipped = names(tarball)
    assert {name.split("/")[0] for name in shipped} & WORKSHOP == set()
    assert {
        name for name in shipped if re.search(r"(^|/)\.|/tests/|\.pyc$|egg-info|/releases/", name)
    } == set()


def test_links_of_the_readmes_lead_to_files_that_are_shipped(tarball: Path) -> None:
    shipped = names(tarball)
    for readme in sorted(name for name in shipped if name.endswith(".md")):
        folder = (REPO / readme).parent
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", (REPO / readme).read_text(encoding="utf-8")):
            there = (folder / link).resolve().relative_to(REPO).as_posix()
            assert any(name == there or name.startswith(f"{there}/") for name in shipped), (readme, link)


def test_galaxy_takes_it_without_a_warning(tarball: Path) -> None:
    tools = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "GALAXY_IMPORTER_RUN_FLAKE8": "true"}
    done = subprocess.run(
        [str(BIN / "python"), "-m", "galaxy_importer.main", str(tarball)],
        cwd=tarball.parent,
        env={**os.environ, **tools, "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Importer processing completed successfully" in done.stdout
    assert re.findall(r"^(?:WARNING|ERROR).*", done.stdout, re.MULTILINE) == []


def test_a_controller_gets_the_same_from_a_checkout_and_from_an_installed_one(
    tarball: Path, installed: Path, tmp_path: Path
) -> None:
    wheels = [build_collection_wheel(place, tmp_path, lambda sentence: None) for place in (REPO, installed)]
    assert wheels[0] == wheels[1]
    with zipfile.ZipFile(wheels[0]) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {f"ansible_collections/edgeai/fleet/{name}" for name in names(tarball)}


@pytest.fixture
def fleet(short_directory: Path, installed: Path, workstation: Path) -> Iterator[Fleet]:
    """A device and a depot, run by the installed collection from a directory with nothing in it."""
    nothing = short_directory / "empty"
    nothing.mkdir()
    fleet = Fleet(
        short_directory,
        nothing / "bundle",
        ansible_playbook=(str(workstation), "-m", "ansible", "playbook"),
        directory=nothing,
        environment={"ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2])},
    )
    fleet.add("pi", runtime_class="raspberry_pi", runtime_line="line-1")
    yield fleet
    fleet.clean_up()


def files_of(directory: Path) -> Dict[str, int]:
    """Every file with the time it was last written."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path): path.stat().st_mtime_ns for path in files}


def changed(output: str) -> int:
    """How many tasks changed something, over all hosts."""
    return sum(map(int, re.findall(r"changed=(\d+)", output)))


def test_every_playbook_runs_by_its_name_from_an_empty_directory(
    fleet: Fleet, installed: Path, workstation: Path
) -> None:
    before = files_of(installed)
    releases = fleet.base / "releases"
    releases.mkdir()
    packed = [f"../releases/{write_release(releases, version).name}" for version in ("1.0.0", "1.1.0")]
    # Relative paths count from where the command is typed.
    paths = {"bundle_releases": packed, "bundle_directory": "bundle", "report_dir": "report"}
    paths["runtime_root_json"] = "bundle/metadata/1.root.json"
    (device,) = fleet.devices
    played = []

    def play(playbook: str, **variables: str) -> int:
        played.append(playbook)
        return changed(fleet.succeed(playbook, **paths, **variables).output)

    assert play("site", release_name="reader", release_version="1.0.0") > 0
    assert device.reads() == ("CAB", "1.0.0")
    assert play("bundle") == 0
    assert play("depot") == 0
    assert play("provision") == 0
    play("rollout", release_name="reader", release_version="1.1.0")
    assert device.reads() == ("CAB", "1.1.0")
    play("rollback", release_name="reader")
    assert device.reads() == ("CAB", "1.0.0")

    # What it converted goes through the bundle to another of the same make.
    asked = {"release_name": "reader", "release_version": "1.0.0"}
    assert play("conversions", **asked) == 1
    assert play("conversions", **asked) == 0
    play("bundle", bundle_conversions="conversions")
    play("depot")
    other = fleet.add(
        "pj", runtime_class="raspberry_pi", runtime_line="line-1", runtime_depot_conversions=True
    )
    play("provision")
    play("rollout", **asked)
    assert other.reads() == ("CAB", "1.0.0")
    taken = [line["made_by"] for line in other.journal() if line["event"] == "conversion_taken"]
    assert taken == ["pi"]

    assert play("health") == 0
    play("reports")
    play("remove")
    assert [root for root in fleet.roots() if root.exists()] == []

    assert sorted(set(played)) == sorted(path.stem for path in installed.glob("playbooks/*.yml"))
    written = ["bundle", "conversions", "report", "report_keys"]
    assert sorted(path.name for path in fleet.directory.iterdir()) == written
    reports = sorted(path.name for path in fleet.directory.glob("report/*"))
    assert reports == ["devices", "health.json", "rollback.json", "rollout.json"]
    assert files_of(installed) == before
