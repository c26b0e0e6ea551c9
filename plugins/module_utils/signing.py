# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the modules that sign on the workstation run its `edgeai`."""

from __future__ import annotations

from typing import Any, Dict, List, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import ask_here, conclude


def signing_argument_spec(**options: Dict[str, Any]) -> Dict[str, Any]:
    """The arguments of such a module: its own, and those of doc_fragments/signing.py."""
    return {
        "keys_dir": {"type": "path", "default": "~/.config/edgeai/keys", "no_log": False},
        "passphrase": {"type": "str", "no_log": True},
        "python": {"type": "path"},
        **options,
    }


def run_signing(module: AnsibleModule, words: List[str], already: str) -> NoReturn:
    """Run `edgeai WORDS` with the module's keys and end the module with its answer.

    The passphrase goes through the environment: every user of the machine may read a command line.
    """
    params = module.params
    command = [*words, "--keys", params["keys_dir"], *(["--check"] if module.check_mode else [])]
    environment = {"EDGEAI_PASSPHRASE": params["passphrase"]} if params["passphrase"] else {}
    conclude(module, lambda: ask_here(params["python"], command, environment), already=already)
