# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target of the machine Ansible runs on."""

from __future__ import annotations

DOCUMENTATION = r"""
name: target
short_description: The target whose wheels fit the machine Ansible runs on
description:
  - For inventories whose devices are on this very machine.
author: The edgeai.fleet authors (@edgeai-fleet)
options:
  _terms:
    description: Interpreters on this machine; without one, the interpreter Ansible runs in.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Build a bundle for this machine
  ansible.builtin.debug:
    msg: "{{ lookup('edgeai.fleet.target') }}"
"""

RETURN = r"""
_raw:
  description: The target of each interpreter, such as C(x86_64-cp311-cpu).
  type: list
  elements: str
"""

import platform
import sys
from typing import Any, Dict, List, Optional

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.edgeai.fleet.plugins.module_utils.hardware import probe_python, target_name


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: List[str], variables: Optional[Dict[str, Any]] = None, **kwargs: Any) -> List[str]:
        targets = []
        for python in terms or [sys.executable]:
            found = target_name(platform.machine(), probe_python(python))
            if found is None:
                raise AnsibleLookupError(f"{python}: no wheels exist for this interpreter on this machine.")
            targets.append(found)
        return targets
