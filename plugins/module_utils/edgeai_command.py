# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `edgeai` command's one JSON answer, and how it becomes what Ansible shows."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Sequence

from ansible.module_utils.basic import AnsibleModule

Answer = Dict[str, Any]
Result = Dict[str, Any]


class Refused(Exception):
    """A command did not do what it was asked; `kind` and `details` are for programs."""

    def __init__(self, message: str, kind: str, details: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.failure: Result = {"msg": message, "kind": kind, "details": dict(details or {})}

    def renamed(self, old: str, new: str) -> Refused:
        """The same with the name a thing has for whoever reads it; what was asked about is gone by then."""
        said = self.failure
        return Refused(said["msg"].replace(old, new), said["kind"], said["details"])


def device_argument_spec(**options: Dict[str, Any]) -> Dict[str, Any]:
    """The arguments of a module that runs on a device: its own and `root`."""
    return {"root": {"type": "path", "default": "/"}, **options}


def understand(command: Sequence[str], status: int, stdout: str, stderr: str) -> Answer:
    """The answer of an `edgeai … --json …` that ended; raises Refused with the command's own sentence."""
    answer = read_answer(stdout)
    if answer is None:
        said = [line for line in stderr.splitlines() if line.strip()]
        words = " ".join(map(shlex.quote, command))
        raise Refused(
            f"{command[0]} ended with status {status} and without an answer"
            f"{f' ({said[-1].strip()})' if said else ''}; run it by hand to see more: {words}",
            kind="no_answer",
            details={"stderr": stderr[-4000:]},
        )
    return accept(answer)


def accept(answer: Answer) -> Answer:
    """The answer itself; raises Refused where it is the sentence of a failure."""
    if not answer["ok"]:
        refusal = answer.get("error") or {}
        raise Refused(
            str(refusal.get("message", "the command failed without saying why.")),
            kind=refusal.get("kind", "error"),
            details=refusal.get("details"),
        )
    return answer


def read_answer(stdout: str) -> Optional[Answer]:
    """The last line of `stdout` as the answer; None when it is none."""
    lines = [line for line in stdout.splitlines() if line.strip()]
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "ok" in answer else None


def result_of(answer: Answer, already: str, root: str = "/") -> Result:
    """An answer as the result of a task. `already` is said when nothing was to be done."""
    result = {key: value for key, value in answer.items() if key != "ok"}
    result.setdefault("changed", False)
    actions = [str(action) for action in result.get("actions") or []]
    if root.rstrip("/"):  # without the root in front, devices that did the same say the same
        actions = [action.replace(f"{root.rstrip('/')}/", "") for action in actions]
    result["actions"] = actions
    result["msg"] = "; ".join(actions) or already
    if result["changed"]:
        result["diff"] = {"prepared": "".join(f"+ {action}\n" for action in actions)}
    return result


def ask(command: List[str], environment: Optional[Mapping[str, str]] = None) -> Answer:
    """Run an `edgeai … --json …` on the machine that a module runs on; raises Refused."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise Refused(
            f"{command[0]} cannot be started ({error.strerror}); provision the device again.",
            kind="no_answer",
        ) from None
    return understand(command, done.returncode, done.stdout, done.stderr)


def ask_here(
    python: Optional[str], words: Sequence[str], environment: Optional[Mapping[str, str]] = None
) -> Answer:
    """Run `edgeai WORDS` with an interpreter that has the runtime, by default this one; raises Refused."""
    return ask([python or sys.executable, "-m", "edgeai_runtime", "--json", *words], environment)


def conclude(module: AnsibleModule, work: Callable[[], Answer], already: str) -> NoReturn:
    """Do the work and end the module with its answer, or with the sentence of what was refused."""
    try:
        answer = work()
    except Refused as refused:
        module.fail_json(**refused.failure)
    module.exit_json(**result_of(answer, already, module.params.get("root", "/")))
    raise AssertionError("exit_json returned")
