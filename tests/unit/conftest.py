"""Makes the collection importable as Ansible sees it, and runs its modules as a device would."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Optional
from unittest import mock

import pytest
from ansible.plugins.loader import init_plugin_loader

REPO = Path(__file__).resolve().parents[2]
BUILD = REPO / ".build"
COLLECTION = BUILD / "ansible_collections" / "edgeai" / "fleet"

if not COLLECTION.exists():  # `make setup` links it; pytest by hand may come first
    COLLECTION.parent.mkdir(parents=True, exist_ok=True)
    COLLECTION.symlink_to("../../..")
init_plugin_loader([str(BUILD)])  # ansible_collections is importable from here on

Module = Callable[..., Dict[str, Any]]


def given(arguments: Dict[str, Any]) -> ContextManager[Any]:
    """Makes a module in this process find these arguments."""
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # ansible-core 2.17
        content = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        return mock.patch("ansible.module_utils.basic._ANSIBLE_ARGS", content)
    patched: ContextManager[Any] = patch_module_args(arguments)
    return patched


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> Module:
    """Run a module's main() with arguments; returns what Ansible would get."""
    import importlib

    def run(name: str, /, check: bool = False, **arguments: Any) -> Dict[str, Any]:
        module = importlib.import_module(f"ansible_collections.edgeai.fleet.plugins.modules.{name}")
        with given({**arguments, "_ansible_check_mode": check}), pytest.raises(SystemExit) as end:
            module.main()
        result: Dict[str, Any] = json.loads(capsys.readouterr().out)
        assert result.get("failed", False) == (end.value.code != 0)
        return result

    return run


@pytest.fixture
def run_action(tmp_path: Path) -> Module:
    """Run an action with arguments over a real local connection; returns what a play would get.

    `variables` are the host's, as its inventory has them.
    """
    from ansible.errors import AnsibleActionFail
    from ansible.parsing.dataloader import DataLoader
    from ansible.playbook.play_context import PlayContext
    from ansible.playbook.task import Task
    from ansible.plugins.loader import action_loader, connection_loader
    from ansible.template import Templar

    loader = DataLoader()
    loader.set_basedir(str(tmp_path))
    connection = connection_loader.get("local", PlayContext())

    def run(
        name: str, /, check: bool = False, variables: Optional[Dict[str, Any]] = None, **arguments: Any
    ) -> Dict[str, Any]:
        task = Task.load({"name": "Ask", f"edgeai.fleet.{name}": arguments, "check_mode": check})
        action = action_loader.get(
            f"edgeai.fleet.{name}",
            task=task,
            connection=connection,
            play_context=PlayContext(),
            loader=loader,
            templar=Templar(loader, variables=variables or {}),
            shared_loader_obj=None,
        )
        try:
            result: Dict[str, Any] = action.run(task_vars=variables or {})
        except AnsibleActionFail as error:  # the executor makes this of it
            return {"failed": True, "msg": str(error)}
        return result

    return run


class Device:
    """A directory with an `edgeai` that notes what it is asked and answers what it is told to, of a job when
    it is waited for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.command = root / "opt/edgeai/bin/edgeai"
        self._asked = root / "asked"

    def answers(self, *answers: Dict[str, Any], status: int = 0, stderr: str = "") -> None:
        """Install `edgeai`: the first call gets the first answer, and so on."""
        self.command.parent.mkdir(parents=True, exist_ok=True)
        for number, answer in enumerate(answers):
            (self.root / f"answer{number}").write_text(json.dumps(answer))
        self.command.write_text(
            f"#!{sys.executable}\n"
            "import json, os, pathlib, sys\n"
            f"root = pathlib.Path({str(self.root)!r})\n"
            "asked = root / 'asked'\n"
            "before = asked.read_text().splitlines() if asked.exists() else []\n"
            "words, told = sys.argv[1:], None\n"
            "if words[1:3] == ['job', 'wait']:\n"
            "    before, told = before[:-1], {'ok': True, 'sentences': ['halfway'], 'next': 1}\n"
            "else:\n"
            "    words = [words[0], *words[3:]] if words[1:3] == ['job', 'start'] else words\n"
            "    asked.write_text('\\n'.join([*before, json.dumps(words)]))\n"
            "(root / 'actor').write_text(os.environ.get('EDGEAI_ACTOR', ''))\n"
            f"sys.stderr.write({stderr!r})\n"
            "answer = root / f'answer{len(before)}'\n"
            "print('progress that is no answer')\n"
            "said = answer.read_text() if answer.exists() else ''\n"
            "if told is not None and said:\n"
            "    said = json.dumps({**told, 'answer': json.loads(said)})\n"
            "elif sys.argv[2:4] == ['job', 'start'] and said:\n"
            "    said = json.dumps({'ok': True, 'job': 'it'})\n"
            "print(said)\n"
            f"sys.exit({status})\n"
        )
        self.command.chmod(self.command.stat().st_mode | stat.S_IXUSR)

    @property
    def told_actor(self) -> str:
        """Who asks, as the last call was told for the journal."""
        return (self.root / "actor").read_text()

    @property
    def asked(self) -> List[List[str]]:
        """The arguments of every call, without the --json that all have."""
        lines = self._asked.read_text().splitlines() if self._asked.exists() else []
        calls = [json.loads(line) for line in lines]
        assert all(call[0] == "--json" for call in calls)
        return [call[1:] for call in calls]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device that is not provisioned until `answers` is called."""
    return Device(tmp_path)


def environment_in(directory: Path) -> Dict[str, str]:
    """What a process needs to find the collection and its callback."""
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD),
        "ANSIBLE_LOCAL_TEMP": str(directory / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }


@pytest.fixture
def environment(tmp_path: Path) -> Dict[str, str]:
    return environment_in(tmp_path)


@pytest.fixture
def play(tmp_path: Path, environment: Dict[str, str]) -> Callable[..., Any]:
    """Run a playbook, given as data, with the collection and its callback, in a process of its own."""
    import subprocess

    def run(plays: List[Dict[str, Any]], inventory: Dict[str, Any], *options: str) -> Any:
        (tmp_path / "play.json").write_text(json.dumps(plays))
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        command = [str(Path(sys.executable).with_name("ansible-playbook"))]
        command += ["-i", str(tmp_path / "inventory.json"), str(tmp_path / "play.json"), *options]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    return run
