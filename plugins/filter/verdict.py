# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict that a failed task is."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

DOCUMENTATION = r"""
name: verdict
short_description: Turn a failed task of a rollout into a verdict
description:
  - V(unreached) for a device that was lost, V(reverted) for one that took a trial back itself, V(failed) for
    everything else.
author: The edgeai.fleet authors (@edgeai-fleet)
options:
  _input:
    description: The failed result, in C(rescue) C(ansible_failed_result).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Keep the verdict
  ansible.builtin.set_fact:
    release_verdict: "{{ ansible_failed_result | edgeai.fleet.verdict }}"
"""

RETURN = r"""
_value:
  description: C(verdict), C(reason) and C(details).
  type: dict
"""


def verdict(result: Mapping[str, Any]) -> Dict[str, Any]:
    """The verdict of one failed result."""
    if result.get("unreached") or result.get("unreachable"):
        word = "unreached"
    else:
        word = "reverted" if result.get("kind") == "reverted" else "failed"
    reason = " ".join(str(result.get("msg") or "it failed without saying why").split())
    return {"verdict": word, "reason": reason, "details": dict(result.get("details") or {})}


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"verdict": verdict}
