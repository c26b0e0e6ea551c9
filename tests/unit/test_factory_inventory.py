"""The inventory that is there to be copied: it is right as it stands, and helps with what is left to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

FACTORY = Path(__file__).resolve().parents[2] / "inventories" / "factory"
TOLD = {
    "refusals": "{{ ansible_play_hosts_all | edgeai.fleet.inventory_refusals(hostvars) }}",
    "waves": "{{ ansible_play_hosts_all | edgeai.fleet.waves(hostvars) }}",
    "sudo": "{{ ansible_become_password }}",
}
TELL = {"name": "Tell", "ansible.builtin.debug": {"msg": "{{ told | to_json }}"}, "vars": {"told": TOLD}}
CHECK = [{"hosts": "devices", "gather_facts": False, "tasks": [{**TELL, "run_once": True}]}]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A copy, as an engineer makes one."""
    copied = tmp_path / "inventory"
    shutil.copytree(FACTORY, copied)
    return copied


@pytest.fixture
def run(tmp_path: Path, environment: Dict[str, str]) -> Run:
    """Run one of Ansible's commands."""

    def run(command: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
        words = [str(Path(sys.executable).with_name(command)), *map(str, arguments)]
        return subprocess.run(
            words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.fixture
def password(tmp_path: Path, inventory: Path, run: Run) -> Path:
    """The vault made as its example says; the file with its password."""
    secrets = inventory / "group_vars/factory"
    shutil.copy(secrets / "vault.yml.example", secrets / "vault.yml")
    (tmp_path / "password").write_text("secret\n")
    done = run(
        "ansible-vault", "encrypt", "--vault-password-file", tmp_path / "password", secrets / "vault.yml"
    )
    assert done.returncode == 0, done.stderr
    return tmp_path / "password"


def test_shows_lines_cells_and_classes(inventory: Path, run: Run) -> None:
    done = run("ansible-inventory", "-i", inventory, "--graph")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    for group in ("line_1", "line_1_packing", "line_2", "raspberry_pi", "jetson", "industrial_pc", "depot"):
        assert f"@{group}:" in done.stdout


def test_passes_the_check_with_its_vault(tmp_path: Path, inventory: Path, password: Path, run: Run) -> None:
    (tmp_path / "check.json").write_text(json.dumps(CHECK))
    done = run(
        "ansible-playbook", "-i", inventory, "--vault-password-file", password, tmp_path / "check.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(next(line for line in done.stdout.splitlines() if "refusals" in line))
    assert told["refusals"] == []
    assert told["sudo"] == "change me"
    assert told["waves"][0] == ["packing-pi-1"]
    # No wave takes two devices of a line.
    lines = {"packing-pi-1": 1, "packing-pi-2": 1, "inspection-jetson-1": 1}
    assert all(len({lines.get(device, 2) for device in wave}) == len(wave) for wave in told["waves"])


def test_without_its_vault_says_what_to_make(inventory: Path, run: Run) -> None:
    done = run("ansible-playbook", "-i", inventory, "edgeai.fleet.provision")
    assert done.returncode != 0
    assert "vault_become_password is missing: make group_vars/factory/vault.yml" in done.stdout


def test_without_the_vaults_password_nothing_is_done(inventory: Path, password: Path, run: Run) -> None:
    done = run("ansible-playbook", "-i", inventory, "edgeai.fleet.provision")
    assert done.returncode != 0
    assert "no vault secrets found" in done.stderr


@pytest.mark.parametrize("playbook", ["depot", "health", "provision", "remove", "rollback", "rollout"])
def test_an_inventory_without_the_group_is_refused(tmp_path: Path, run: Run, playbook: str) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"pis": {"hosts": {"pi": {}}}}))
    done = run("ansible-playbook", "-i", tmp_path / "other.json", f"edgeai.fleet.{playbook}")
    assert done.returncode != 0
    group = "depot" if playbook == "depot" else "devices"
    assert f"the inventory has no host in the group {group} (its groups are pis)" in done.stdout
