"""Who asks: what the journal names beside every step."""

from __future__ import annotations

import os
import pwd

VARIABLE = "EDGEAI_ACTOR"
LONGEST = 200  # characters of it that a line of the journal takes


def actor() -> str:
    """What `EDGEAI_ACTOR` says (a playbook: "anna@controller, rollout 4711"), else the account that typed.

    Through sudo that is who called sudo.
    """
    return (os.environ.get(VARIABLE) or f"{_account()}@{os.uname().nodename}")[:LONGEST]


def _account() -> str:
    uid = os.getuid()
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
