# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows a run in plain words: a line a play, a line a task, a sentence for what matters."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plain
type: stdout
short_description: Show a run in plain words
description:
  - One line for a play with its hosts, one for a task with how it went, and below it what was done in
    sentences. A task that went alike on all of the play's hosts does not name them again.
  - A failure is one sentence a host. Skipped tasks are silent, as are tasks that only set variables.
  - One line ends the run.
  - With C(-v) every result is shown in full.
author: The edgeai.fleet authors (@edgeai-fleet)
requirements:
  - set as C(stdout_callback) in the configuration
extends_documentation_fragment:
  - result_format_callback
"""

import sys
import time
from typing import Any, Dict, List, Optional

from ansible import constants as C  # noqa: N812 - as Ansible's own callbacks call it
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback import CallbackBase
from ansible.utils.color import stringc
from ansible_collections.edgeai.fleet.plugins.plugin_utils.outcome import Outcome, names

# What only moves variables about is no step of the work.
SILENT = ("set_fact", "include_vars", "add_host", "group_by", "meta", "validate_argument_spec")
SPEAKING = ("debug", "report")  # their message is what they are for
COLORS = {
    "ok": C.COLOR_OK,
    "changed": C.COLOR_CHANGED,
    "failed": C.COLOR_ERROR,
    "unreachable": C.COLOR_UNREACHABLE,
}


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Collects what hosts answer to a task and writes it when the task is done on all of them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "edgeai.fleet.plain"

    def __init__(self) -> None:
        super().__init__()
        self._begun = time.monotonic()
        self._batch: List[str] = []
        self._outcome: Optional[Outcome] = None
        self._full: List[str] = []
        self._waiting = False  # the name of the running task stands on the terminal
        self._empty = True  # nothing was written yet

    # What happens.

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._flush()
        found = play.get_variable_manager().get_vars(play=play)
        meant = found.get("ansible_play_hosts_all", [])
        # For an ad-hoc command the batch is the whole inventory.
        self._batch = [host for host in found.get("ansible_play_batch", []) if host in meant]
        mode = " (check mode)" if play.check_mode else ""
        who = f": {names(self._batch)}" if self._batch else ""  # the implicit localhost is no host
        self._write("" if self._empty else "\n", f"{play.get_name().strip()}{mode}{who}")

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._write("", "  no host of the inventory is meant")

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        self._flush()
        self._write("", "  no host is left to go on with")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._flush()
        title = task.get_name().strip()
        # A role's name in front says where a task is written, not what it does.
        title = title.partition(" : ")[2] or title
        self._outcome = Outcome(title, self._batch, once=bool(task.run_once))
        if sys.stdout.isatty() and _action(task) not in SILENT and not isinstance(task, TaskInclude):
            self._display.display(f"  {title} …", newline=False, screen_only=True)
            self._waiting = True

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result: Any) -> None:
        if isinstance(result._task, TaskInclude):
            return
        told = result._result
        changed = bool(told.get("changed"))
        if not changed and _action(result._task) in SILENT:
            return
        self._add(result, "changed" if changed else "ok", _said(told, result._task))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._add(result, "failed", _why(result._result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        why = " ".join(str(result._result.get("msg", "")).split())
        self._add(result, "unreachable", f"{why} Check its power and its network, then run it again.".strip())

    def v2_on_file_diff(self, result: Any) -> None:
        told = result._result
        for part in told.get("results", [told]):
            if part.get("diff") and part.get("changed"):
                self._full.append(self._get_diff(part["diff"]).rstrip("\n"))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._flush()
        hosts = sorted(stats.processed)
        count: Dict[str, int] = {}
        for host in hosts:
            for key, number in stats.summarize(host).items():
                count[key] = count.get(key, 0) + number
        where = "1 host" if len(hosts) == 1 else f"{len(hosts)} hosts"
        line = (
            f"Finished in {time.monotonic() - self._begun:.1f} s on {where}: "
            f"{count.get('ok', 0)} ok, {count.get('changed', 0)} changed, {count.get('rescued', 0)} rescued, "
            f"{count.get('failures', 0)} failed, {count.get('unreachable', 0)} unreachable."
        )
        bad = count.get("failures", 0) + count.get("unreachable", 0)
        self._write("\n", stringc(line, C.COLOR_ERROR if bad else C.COLOR_OK))

    # How it is written.

    def _add(self, result: Any, word: str, text: str) -> None:
        if self._outcome is None:
            self._outcome = Outcome(result._task.get_name(), self._batch)
        self._outcome.add(result._host.get_name(), word, text)
        if self._display.verbosity > 0:
            full = self._dump_results(result._result, indent=2)
            self._full.append(f"{result._host.get_name()} => {full}")

    def _flush(self) -> None:
        """Write the task that is done; a task nobody answered to was skipped and is silent."""
        outcome, self._outcome = self._outcome, None
        full, self._full = self._full, []
        if self._waiting:
            self._display.display("\r\033[K", newline=False, screen_only=True)
            self._waiting = False
        if outcome is None or not outcome.words:
            return
        self._write("", outcome.head(lambda word: stringc(word, COLORS[word])))
        for line in [*outcome.sentences(), *full]:
            self._write("", line)

    def _write(self, before: str, line: str) -> None:
        self._empty = False
        self._display.display(f"{before}{line}")
        sys.stdout.flush()  # Ansible leaves it in the buffer of a pipe: a log would stand still for minutes


def _action(task: Any) -> str:
    return str(task.action).rpartition(".")[2]


def _said(told: Dict[str, Any], task: Any) -> str:
    """The sentence of a task that went well; only what is ours, or is there to speak, says one."""
    action = str(task.action)
    if not action.startswith("edgeai.fleet.") and _action(task) not in SPEAKING:
        return ""
    return str(told.get("msg") or "").strip("\n")


def _why(told: Dict[str, Any]) -> str:
    """The sentence of a failure: of the items that failed, or of the whole."""
    items = [part for part in told.get("results", []) if isinstance(part, dict)]
    # ansible-core 2.21 tells of an item that failed by its exception alone.
    reasons = [_why(part) for part in items if part.get("failed") or "exception" in part]
    if reasons:
        return "; ".join(dict.fromkeys(reasons))
    said = str(told.get("msg") or told.get("stderr") or told.get("reason") or "it failed without saying why")
    output = str(told.get("stderr") or "").strip().splitlines()
    if "non-zero return code" in said and output:
        errors = [line for line in output if line.lower().startswith("error") or "[emerg]" in line]
        said = f"it ended with status {told.get('rc')}: {(errors or output)[-1]}"
    if said.startswith("failed to validate") and output:
        said = f"what would have been written is not valid: {output[0]}"
    return said.strip("\n")
