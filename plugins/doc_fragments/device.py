# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules that run on a device have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """The option `root`, and how a device is reached."""

    DOCUMENTATION = r"""
options:
  root:
    description:
      - The directory that is the device's C(/). Everything lies below C(opt/edgeai), C(var/lib/edgeai),
        C(etc/edgeai) and C(run/edgeai) in it.
      - Without it the device's own C(runtime_root) of the inventory is taken, so that an ad-hoc command needs
        no arguments, and V(/) where it has none.
    type: path
    default: /
attributes:
  action:
    description: An action plugin of the same name does it, or starts it, from the controller.
    support: full
  action_group:
    description: Use C(group/edgeai.fleet.device) in C(module_defaults) to set an option for all of them.
    support: full
    membership: [edgeai.fleet.device]
notes:
  - When Ansible connects as root and C(var/lib/edgeai) belongs to another user, the device's command runs as
    that user.
  - A device that cannot be reached makes the task fail with C(unreached=true) rather than drop
    the device from the play, so that C(rescue) sees it.
  - On a device that was not provisioned, check mode says what would be done; otherwise the task fails.
"""
