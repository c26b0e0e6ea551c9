"""That roles, their specifications, playbooks and inventories say the same."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, Set

import pytest
import tomllib
import yaml
from ansible_collections.edgeai.fleet.plugins.filter.inventory_refusals import CLASSES, DEFAULT_HTTP
from ansible_collections.edgeai.fleet.plugins.filter.waves import DEFAULT_LINE
from ansible_collections.edgeai.fleet.plugins.plugin_utils.known_variables import BUNDLE, EXPORTED, known

REPO = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (REPO / "roles").iterdir())
WITH_VARIABLES = [role for role in ROLES if (REPO / "roles" / role / "defaults").is_dir()]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def defaults(role: str) -> Dict[str, Any]:
    found: Dict[str, Any] = load(REPO / "roles" / role / "defaults/main.yml")
    return found


@pytest.mark.parametrize("role", WITH_VARIABLES)
def test_every_variable_has_its_prefix_and_is_explained_in_place(role: str) -> None:
    text = (REPO / "roles" / role / "defaults/main.yml").read_text(encoding="utf-8")
    for name in defaults(role):
        assert re.search(rf"^#.*\n{name}:", text, re.MULTILINE), f"{name} has no comment"
        assert name.startswith(f"{role}_")


@pytest.fixture
def role_of_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the role release that tools/role_docs.py looks at instead."""
    role = tmp_path / "release"
    shutil.copytree(REPO / "roles/release", role)
    monkeypatch.syspath_prepend(REPO / "tools")
    monkeypatch.setattr("role_docs.ROLES", tmp_path)
    monkeypatch.setattr("sys.argv", ["role_docs.py", "--check"])
    return role


@pytest.mark.parametrize(
    ("file", "found", "put", "said"),
    [
        ("defaults/main.yml", "release_canaries: 1", "release_canaries: 2", "release_canaries is 2 in"),
        ("defaults/main.yml", "release_canaries:", "release_canary:", "release_canary is 1 in"),
        ("defaults/main.yml", "release_canaries: 1", 'release_canaries: "1"', "release_canaries is '1' in"),
        ("meta/main.yml", "description: B", "description: Not b", "make them equal"),
        ("meta/main.yml", "dependencies: []", "dependencies: [runtime]", "has dependencies"),
        ("README.md", "## Example", "## Sample", "'## Example' is missing"),
        ("README.md", "| `release_name` |", "| `name` |", "run tools/role_docs.py"),
    ],
)
def test_lint_finds_a_role_whose_parts_say_different_things(
    role_of_the_release: Path, capsys: pytest.CaptureFixture[str], file: str, found: str, put: str, said: str
) -> None:
    import role_docs

    assert role_docs.main() == 0
    path = role_of_the_release / file
    text = path.read_text(encoding="utf-8")
    assert found in text
    path.write_text(text.replace(found, put), encoding="utf-8")
    assert role_docs.main() == 1
    assert said in capsys.readouterr().err


def test_a_role_stands_for_every_class_and_says_what_its_hardware_is() -> None:
    for device_class in CLASSES:
        profile = load(REPO / "roles" / device_class / "vars/profile.yml")[f"{device_class}_profile"]
        assert profile["name"] == device_class
        assert profile["detected"]
        assert profile["architectures"]
    assert set(ROLES) - set(WITH_VARIABLES) == set(CLASSES)


def test_the_filters_defaults_are_the_roles() -> None:
    assert defaults("runtime")["runtime_http"] == DEFAULT_HTTP
    assert defaults("runtime")["runtime_line"] == DEFAULT_LINE


def used(pattern: str, *paths: Path) -> Set[str]:
    """Names that match in files."""
    return set().union(
        *(re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE) for path in paths)
    )


def test_the_bundle_playbook_has_the_variables_that_are_known() -> None:
    assert used(r"\b(bundle_[a-z_]+) \|", REPO / "playbooks/bundle.yml") == BUNDLE


def test_inventories_use_no_variable_that_is_unknown() -> None:
    files = list((REPO / "inventories").rglob("*.yml"))
    names = used(r"^\s*#?\s*((?:bundle|depot|release|runtime)_[a-z_]+):", *files)
    assert names <= known()


def test_exported_facts_are_set_by_the_release_role() -> None:
    assert used(r"^\s+(release_plan|release_verdict):", *(REPO / "roles/release/tasks").iterdir()) == EXPORTED


@pytest.mark.parametrize("playbook", sorted((REPO / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_playbooks_gather_no_facts(playbook: Path) -> None:
    for play in load(playbook):
        assert "ansible.builtin.import_playbook" in play or play["gather_facts"] is False


def test_no_role_names_a_group_or_reads_the_runtimes_source() -> None:
    for path in (REPO / "roles").rglob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert "groups[" not in text, path
        assert "../runtime" not in text, path


@pytest.mark.parametrize(
    "alarms",
    [
        {},
        {
            "wear": False,
            "disk": {"below": 1024, "clear": 2048},
            "own": {"advice": 'say "ü"', "latched": True},
        },
    ],
)
def test_rules_of_alarms_reach_the_device_as_they_were_given(
    alarms: Dict[str, Any], play: Any, tmp_path: Path
) -> None:
    template = {
        "src": str(REPO / "roles/runtime/templates/device.toml.j2"),
        "dest": str(tmp_path / "device.toml"),
    }
    tasks = [
        {"ansible.builtin.include_vars": str(REPO / "roles/runtime/defaults/main.yml")},
        {"ansible.builtin.template": template},
    ]
    device = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    extra = tmp_path / "extra.json"
    profile = {"providers": ["xnnpack", "cpu"]}
    extra.write_text(json.dumps({"runtime_alarms": alarms, "__runtime_profile": profile}))
    plays = [{"hosts": "device", "gather_facts": False, "tasks": tasks}]
    done = play(plays, {"all": {"hosts": {"device": device}}}, "-e", f"@{extra}")
    assert done.returncode == 0, done.stdout + done.stderr
    found = tomllib.loads((tmp_path / "device.toml").read_text(encoding="utf-8"))
    assert found.get("alarms", {}) == alarms
    assert found["name"] == "device"
    assert found["serve"]["providers"] == profile["providers"]
