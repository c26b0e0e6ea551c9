"""Modules that are asked by `ansible`, without any play around them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest


@pytest.fixture
def ad_hoc(device: Any, tmp_path: Path, environment: Dict[str, str]) -> Any:
    """What `ansible devices -m …` writes of a device whose root is in the inventory."""

    def run(module: str, **variables: str) -> List[str]:
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "base": str(tmp_path),
            "runtime_root": "{{ base }}",
            **variables,
        }
        (tmp_path / "inventory.json").write_text(
            json.dumps({"devices": {"hosts": {"pi": here}}, "depot": {"hosts": {"other": {}}}})
        )
        command = [str(Path(sys.executable).with_name("ansible")), "devices", "-m", f"edgeai.fleet.{module}"]
        done = subprocess.run(
            [*command, "-i", str(tmp_path / "inventory.json")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [line.strip() for line in done.stdout.splitlines()]

    return run


def test_health_is_one_line_a_device(device: Any, ad_hoc: Any) -> None:
    device.answers({"ok": True, "generation": 3, "models": {"reader": "1.0.0"}, "verdict": "confirmed"})
    told = ad_hoc("health_info")
    assert told[0] == "Ansible Ad-Hoc: pi"
    assert "generation 3 with reader 1.0.0: confirmed" in told


def test_a_bare_device_is_measured_in_one_line(ad_hoc: Any) -> None:
    assert [line for line in ad_hoc("device_info") if "MiB memory" in line]


def test_it_is_measured_with_its_own_interpreter(ad_hoc: Any) -> None:
    assert [line for line in ad_hoc("device_info", runtime_python="/nowhere/python3") if "no target" in line]
