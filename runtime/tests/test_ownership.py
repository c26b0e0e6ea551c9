"""Root acts on a device as the owner of its files."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from edgeai_runtime.errors import InputError
from edgeai_runtime.ownership import become_owner
from edgeai_runtime.paths import Paths

ROOT = os.geteuid() == 0
PROGRAM = """
import os, sys
from pathlib import Path
from edgeai_runtime.ownership import become_owner
from edgeai_runtime.paths import Paths
become_owner(Paths(Path(sys.argv[1])))
print(os.getuid(), os.geteuid(), os.getgid())
"""


def ids_after(root: Path) -> str:
    """Real and effective user and group of a process that became the owner."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_root_goes_on_as_the_owner(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    Paths(tmp_path).var.mkdir(parents=True)
    os.chown(Paths(tmp_path).var, nobody.pw_uid, nobody.pw_gid)
    assert ids_after(tmp_path) == f"{nobody.pw_uid} {nobody.pw_uid} {nobody.pw_gid}"


def test_who_owns_it_stays_who_they_are(tmp_path: Path) -> None:
    Paths(tmp_path).var.mkdir(parents=True)
    assert ids_after(tmp_path) == f"{os.getuid()} {os.geteuid()} {os.getgid()}"


def test_on_a_machine_without_a_device_nothing_happens(tmp_path: Path) -> None:
    become_owner(Paths(tmp_path))


@pytest.mark.skipif(not ROOT, reason="only root can give a file to a user who is not there")
def test_an_owner_who_is_no_user_is_named(tmp_path: Path) -> None:
    Paths(tmp_path).var.mkdir(parents=True)
    os.chown(Paths(tmp_path).var, 61234, 61234)
    with pytest.raises(InputError, match="uid 61234, is no user of this system"):
        become_owner(Paths(tmp_path))
