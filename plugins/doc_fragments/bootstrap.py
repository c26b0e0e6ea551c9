# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules take that bring the runtime's wheel first and let it do the work."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of plugins/module_utils/bootstrap.py."""

    DOCUMENTATION = r"""
options:
  depot_url:
    description: Where the depot serves the bundle, or C(file://) and its directory on the host.
    type: str
    required: true
  depot_mirrors:
    description: Where the same bundle is served too, asked in this order when the depot does not deliver.
    type: list
    elements: str
    default: []
  depot_rate_limit:
    description: What the transfer may take of the network, in MB a second, V(0) for all of it.
    type: float
    default: 0
  wheel:
    description: The runtime's wheel, as M(edgeai.fleet.bundle_info) returns it. It does the work.
    type: dict
    required: true
    suboptions:
      filename:
        description: Its file name.
        type: str
        required: true
      sha256:
        description: Its digest.
        type: str
        required: true
      size:
        description: Its size in bytes.
        type: int
        required: true
  python:
    description: The interpreter that runs the wheel and makes environments, CPython 3.8 or newer.
    type: path
    default: /usr/bin/python3
"""
