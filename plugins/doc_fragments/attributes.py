# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the collection's modules behave in check mode and diff mode, and when run again."""

from __future__ import annotations


class ModuleDocFragment:
    """The default says what all share; CHANGES and INFO say what each kind can do."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Says what would be done without changing anything.
  diff_mode:
    description: Says with C(--diff) what has been done, one action a line.
  idempotent:
    description: The same again changes nothing and reports C(changed=false).
  platform:
    description: Where the module can run.
    platforms: linux
    support: full
"""

    CHANGES = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: The module changes nothing.
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
"""
