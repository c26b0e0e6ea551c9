# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dictionaries as an aligned table of text."""

from __future__ import annotations

from typing import Any, Callable, Dict

from ansible_collections.edgeai.fleet.plugins.plugin_utils.text import table

DOCUMENTATION = r"""
name: table
short_description: Show dictionaries as an aligned table of text
description:
  - Figures stand to the right, words to the left, what is missing is a dash.
author: The edgeai.fleet authors (@edgeai-fleet)
positional: _input, columns
options:
  _input:
    description: One dictionary a row.
    type: list
    elements: dict
    required: true
  columns:
    description: The keys to show, in order; C(key=Heading) gives a column another heading.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show the table
  ansible.builtin.debug:
    msg: "{{ [{'device': 'a', 'p99_ms': 12.5}] | edgeai.fleet.table(['device', 'p99_ms=p99 ms']) }}"
"""

RETURN = r"""
_value:
  description: The table, a heading and a rule above the rows.
  type: str
"""


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"table": table}
