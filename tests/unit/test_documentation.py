"""What `ansible-doc` shows of every module."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest
import yaml

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    """The documentation of all modules, fragments included."""
    from conftest import environment_in

    names = [f"edgeai.fleet.{module}" for module in MODULES]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-doc")), "--json", *names],
        env=environment_in(tmp_path_factory.mktemp("doc")),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: Dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_how_it_behaves_what_it_returns_and_shows_it(
    documented: Dict[str, Any], module: str
) -> None:
    shown = documented[f"edgeai.fleet.{module}"]
    attributes = shown["doc"]["attributes"]
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= set(attributes)
    assert all("support" in attribute and "description" in attribute for attribute in attributes.values())
    assert ("action" in attributes) == (PLUGINS / "action" / f"{module}.py").is_file()
    assert "msg" in shown["return"]
    examples = yaml.safe_load(shown["examples"])
    assert any(f"edgeai.fleet.{module}" in task for task in examples)
