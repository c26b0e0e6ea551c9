# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the `edgeai` command and maps its one JSON answer to what Ansible shows."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Sequence

from ansible.module_utils.basic import AnsibleModule

Answer = Dict[str, Any]


def device_argument_spec(**options: Dict[str, Any]) -> Dict[str, Any]:
    """The arguments of a module that runs on a device: its own and `root`."""
    return {"root": {"type": "path", "default": "/"}, **options}


def ask_device(module: AnsibleModule, *arguments: str) -> Optional[Answer]:
    """Run the device's own `edgeai` as the owner of opt/edgeai and return its answer.

    None in check mode on a device that has no `edgeai` yet. When the command fails, the module
    fails with the command's own sentence.
    """
    opt = os.path.join(module.params["root"], "opt", "edgeai")
    program = os.path.join(opt, "bin", "edgeai")
    if not os.access(program, os.X_OK):
        if module.check_mode:
            return None
        fail(
            module,
            f"{program} is not there: this device is not provisioned; run the playbook "
            "edgeai.fleet.provision for it first.",
            kind="not_provisioned",
        )
    return ask(module, [program, "--json", *arguments], run_as=owner_of(opt))


def ask(
    module: AnsibleModule,
    command: List[str],
    environment: Optional[Mapping[str, str]] = None,
    run_as: Optional[Callable[[], None]] = None,
    tolerate: Sequence[str] = (),
) -> Answer:
    """Run any `edgeai … --json …` and return its answer.

    The module fails with the command's own sentence when the command does, unless the kind of its
    error is one to `tolerate`.
    """
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
            preexec_fn=run_as,
            check=False,
        )
    except OSError as error:
        fail(
            module,
            f"{command[0]} cannot be started ({error.strerror}); provision the device again.",
            kind="no_answer",
        )
    answer = read_answer(done.stdout)
    if answer is None:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        fail(
            module,
            f"{command[0]} ended with status {done.returncode} and without an answer"
            f"{f' ({said[-1].strip()})' if said else ''}; run it by hand to see more: {' '.join(command)}",
            kind="no_answer",
            details={"stderr": done.stderr[-4000:]},
        )
    refusal = answer.get("error") or {}
    if not answer["ok"] and refusal.get("kind") not in tolerate:
        fail(
            module,
            str(refusal.get("message", "the command failed without saying why.")),
            kind=refusal.get("kind", "error"),
            details=refusal.get("details"),
        )
    return answer


def fail(
    module: AnsibleModule, message: str, kind: str, details: Optional[Mapping[str, Any]] = None
) -> NoReturn:
    """End the module as failed, with one sentence and what programs may read."""
    module.fail_json(msg=message, kind=kind, details=dict(details or {}))
    raise AssertionError("fail_json returned")


def read_answer(stdout: str) -> Optional[Answer]:
    """The last line of `stdout` as the answer; None when it is none."""
    lines = [line for line in stdout.splitlines() if line.strip()]
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "ok" in answer else None


def owner_of(path: str) -> Optional[Callable[[], None]]:
    """What makes root's child process the owner of `path`; None where there is nothing to give up."""
    if os.geteuid() != 0:
        return None
    found = os.stat(path)
    if found.st_uid == 0:
        return None
    name = pwd.getpwuid(found.st_uid).pw_name

    def become_owner() -> None:
        os.initgroups(name, found.st_gid)
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)

    return become_owner


def finish(module: AnsibleModule, answer: Optional[Answer], would: str, already: str) -> NoReturn:
    """End the module with the answer as its result.

    `would` is said when there is no answer (check mode, nothing installed), `already` when
    nothing was to be done.
    """
    if answer is None:
        answer = {"changed": True, "actions": [would]}
    result = {key: value for key, value in answer.items() if key != "ok"}
    result.setdefault("changed", False)
    actions = [str(action) for action in result.get("actions") or []]
    root = module.params.get("root", "/").rstrip("/")
    if root:  # without the root in front, devices that did the same say the same
        actions = [action.replace(f"{root}/", "") for action in actions]
    result["actions"] = actions
    result["msg"] = "; ".join(actions) or already
    if result["changed"]:
        result["diff"] = {"prepared": "".join(f"+ {action}\n" for action in actions)}
    module.exit_json(**result)
    raise AssertionError("exit_json returned")
