# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module takes that signs on the workstation."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the keys lie, what they are encrypted with, and who does the work."""

    DOCUMENTATION = r"""
options:
  keys_dir:
    description: Directory of the signing keys.
    type: path
    default: ~/.config/edgeai/keys
  passphrase:
    description: What the keys are encrypted with. Keep it in a vault. New keys are not encrypted without it.
    type: str
  python:
    description: An interpreter with C(edgeai_runtime) and what it needs on a workstation. The default is the
      one that runs the module.
    type: path
"""
