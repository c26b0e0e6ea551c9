# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one JSON answer of `edgeai … --json`, and what Ansible shows of it."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, Optional

Answer = Dict[str, Any]


class Refused(Exception):
    """It could not be done; `result` is what Ansible shows."""

    def __init__(self, message: str, kind: str, details: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.result = {"failed": True, "msg": message, "kind": kind, "details": dict(details or {})}


def read_answer(stdout: str, stderr: str, status: int, command: str) -> Answer:
    """The last line of `stdout` as the answer.

    Raises Refused with the command's own sentence when it failed, and with its last words when it
    ended without an answer.
    """
    try:
        answer = json.loads([line for line in stdout.splitlines() if line.strip()][-1])
        done = answer["ok"]
    except (IndexError, ValueError, KeyError, TypeError):
        said = [line for line in (stderr or stdout).splitlines() if line.strip()]
        raise Refused(
            f"'{command}' ended with status {status} and without an answer"
            f"{f' ({said[-1].strip()})' if said else ''}; run it by hand to see more.",
            kind="no_answer",
            details={"stderr": stderr[-4000:]},
        ) from None
    if not done:
        error = answer.get("error") or {}
        raise Refused(
            str(error.get("message", "the command failed without saying why.")),
            kind=str(error.get("kind", "error")),
            details=error.get("details"),
        )
    return dict(answer)


def as_result(answer: Answer, root: str, already: str) -> Dict[str, Any]:
    """The answer as Ansible's result: changed, actions, msg and diff, and whatever else was answered.

    `already` is said when nothing was to be done.
    """
    result = {key: value for key, value in answer.items() if key != "ok"}
    result.setdefault("changed", False)
    actions = [str(action) for action in result.get("actions") or []]
    root = root.rstrip("/")
    if root:  # without the root in front, devices that did the same say the same
        actions = [action.replace(f"{root}/", "") for action in actions]
    result["actions"] = actions
    result["msg"] = "; ".join(actions) or already
    if result["changed"]:
        result["diff"] = {"prepared": "".join(f"+ {action}\n" for action in actions)}
    return result
