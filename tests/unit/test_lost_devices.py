"""A device that is lost is a failure that `rescue` sees, in real runs over a dead connection."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
PYTHON = "{{ ansible_playbook_python }}"


@pytest.fixture
def dead() -> Iterator[Dict[str, Any]]:
    """Variables of a host at whose port nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        yield {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_python_interpreter": PYTHON,
        }


WHEEL = {"filename": "w", "sha256": "s", "size": 1}
MODULES: Dict[str, Dict[str, Any]] = {
    "conversion": {"name": "r", "version": "1", "directory": "d"},
    "debian_packages": {"name": ["n"], "lock_sha256": "s", "depot_url": "x", "wheel": WHEEL},
    "device": {"state": "absent"},
    "device_info": {},
    "device_report": {"directory": "d", "keys_directory": "k"},
    "environment": {"depot_url": "x", "wheel": WHEEL},
    "generation": {"state": "confirmed"},
    "health_info": {},
    "model_convert": {"name": "r", "version": "1"},
    "release": {"name": "r", "version": "1"},
    "tuning": {"settings": []},
}


def rescued(*modules: str) -> List[Dict[str, Any]]:
    """A play that asks each module and tells the verdict on its failure."""
    blocks = []
    for module in modules:
        asked = {"name": "Ask", f"edgeai.fleet.{module}": {"root": "/nowhere", **MODULES[module]}}
        word = "{{ (ansible_failed_result | edgeai.fleet.verdict).verdict }}"
        told = {"name": "Tell", "ansible.builtin.debug": {"msg": f"{module} {word}"}}
        blocks.append({"block": [asked], "rescue": [told]})
    return [{"hosts": "all", "gather_facts": False, "tasks": blocks}]


def test_every_device_module_is_one_that_is_rescued() -> None:
    group = yaml.safe_load((REPO / "meta/runtime.yml").read_text())["action_groups"]["device"]
    assert group == [f"edgeai.fleet.{module}" for module in MODULES]


def test_a_lost_device_is_rescued_as_unreached_whatever_it_was_asked(play: Any, dead: Dict[str, Any]) -> None:
    done = play(rescued(*MODULES), {"all": {"hosts": {"lost": dead}}})
    assert done.returncode == 0, done.stdout + done.stderr
    # Ansible does not wait for the words of an ssh that is slow to end.
    reason = r"the device was not reached \(ssh(?:: connect to host 127\.0\.0\.1| ended while it was sent)"
    assert len(re.findall(reason, done.stdout)) == len(MODULES), done.stdout
    assert "check its power and its network" in done.stdout
    for module in MODULES:
        assert f"{module} unreached" in done.stdout
    assert f"{len(MODULES)} rescued, 0 failed, 0 unreachable" in done.stdout


def test_an_ssh_that_ends_while_it_is_sent_a_module_is_a_lost_device_as_well(
    play: Any, dead: Dict[str, Any], tmp_path: Path
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexec <&-\nsleep 1\nexit 255\n")  # slow to end, as on a loaded machine
    ssh.chmod(0o755)
    done = play(rescued("device"), {"all": {"hosts": {"lost": {**dead, "ansible_ssh_executable": str(ssh)}}}})
    assert "the device was not reached (ssh ended while it was sent what to do); check its" in done.stdout
    assert "device unreached" in done.stdout


def test_a_device_that_answers_is_run_as_ever(play: Any) -> None:
    here = {"ansible_connection": "local", "ansible_python_interpreter": PYTHON}
    done = play(rescued("health_info"), {"all": {"hosts": {"here": here}}})
    assert "health_info failed" in done.stdout
    assert "run the playbook edgeai.fleet.provision for it first" in done.stdout


def test_health_has_a_lost_device_in_its_table_and_fails(
    play: Any, dead: Dict[str, Any], tmp_path: Path
) -> None:
    device = {"runtime_line": "line-1", "runtime_class": "jetson"}
    inventory = {"devices": {"hosts": {"lost": {**dead, **device}}}}
    imported = [{"ansible.builtin.import_playbook": str(REPO / "playbooks/health.yml")}]
    done = play(imported, inventory, "-e", f"report_dir={tmp_path}/report")
    assert done.returncode != 0
    assert "Health: 1 unreached." in done.stdout
    report = json.loads((tmp_path / "report/health.json").read_text())
    assert report["ok"] is False
    assert report["devices"][0]["line"] == "line-1"
    assert report["devices"][0]["verdict"] == "unreached"
