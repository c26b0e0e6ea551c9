#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a device's directories and settings in place, or takes everything of ours off it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: device
short_description: Put a device's directories and settings in place, or take everything of ours off
description:
  - V(present) makes C(opt/edgeai), C(var/lib/edgeai), C(etc/edgeai) and C(run/edgeai) below O(root) and
    writes O(files) into them.
  - V(absent) stops the services, then deletes those directories and our own units of systemd. Nothing else is
    deleted, your own drop-ins for these units neither. Directories above them, O(root) among them, go only
    where O(root) is not C(/) and they are empty. It works on a device that is half provisioned as well.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  state:
    description: Whether anything of ours is on the device.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description:
      - The user whom C(var/lib/edgeai) and C(run/edgeai) belong to, and who may make directories in
        C(opt/edgeai). The default is the one that runs the module.
      - C(etc/edgeai), and C(bin) and C(bootstrap) in C(opt/edgeai), belong to the one that runs the module.
        What is started from there is nothing that the owner could have changed.
    type: str
  files:
    description: Content of files, by their path below C(etc/edgeai). A file without any content must not be
      there.
    type: dict
    default: {}
  secrets:
    description: As O(files), for what nobody but O(owner) may read. Never shown.
    type: dict
    default: {}
  stop_timeout_s:
    description: Seconds the services may take to finish what they have.
    type: float
    default: 90
"""

EXAMPLES = r"""
- name: Put the settings in place
  edgeai.fleet.device:
    owner: edgeai
    files:
      root.json: "{{ lookup('ansible.builtin.file', 'bundle/metadata/1.root.json') }}"

- name: Take everything off the device
  edgeai.fleet.device:
    state: absent
"""

RETURN = r"""
changed:
  description: Whether something was changed, or would be in check mode.
  type: bool
  returned: always
actions:
  description: What was done, or would be, one sentence each.
  type: list
  elements: str
  returned: success
files:
  description: The files that were written, or would be, as in O(files) and O(secrets).
  type: list
  elements: str
  returned: for V(present)
msg:
  description: The same in one line, or why it failed.
  type: str
  returned: always
"""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from typing import List, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import (
    Answer,
    Refused,
    conclude,
    device_argument_spec,
)

OURS = ("opt/edgeai", "var/lib/edgeai", "etc/edgeai", "run/edgeai")
# What in them no owner may change: where their group may make files, it cannot move those of others.
KEPT = ("opt/edgeai", "opt/edgeai/bin", "opt/edgeai/bootstrap", "etc/edgeai")
SHARED = "opt/edgeai"
ABOVE = ("opt", "var/lib", "var", "etc", "run", "")
SETTINGS = "etc/edgeai"
# Sockets first: nobody who knocks starts again what is being stopped.
UNITS = ("/etc/systemd/system/edgeai-*.socket", "/etc/systemd/system/edgeai-*.service")


def running_supervisor(root: str) -> Optional[int]:
    """The process id of this root's supervisord, None when it does not run.

    The process must name this root's own configuration: a pid file that outlived a restart of the
    machine names somebody else.
    """
    configuration = os.path.join(root, "etc/edgeai/supervisord.conf")
    try:
        with open(os.path.join(root, "run/edgeai/supervisord.pid"), encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(configuration) in words else None


def stop_supervisor(module: AnsibleModule, root: str, pid: int) -> None:
    """End supervisord, which drains and ends what it runs; raises Refused when it stays."""
    os.kill(pid, signal.SIGTERM)
    give_up = time.monotonic() + module.params["stop_timeout_s"]
    while running_supervisor(root) is not None:
        if time.monotonic() > give_up:
            raise Refused(
                f"process {pid} did not end within {module.params['stop_timeout_s']:g} s; look at "
                f"{root}/var/lib/edgeai/*.log, end it, then run this again.",
                kind="still_running",
            )
        time.sleep(0.05)


def remove_units(module: AnsibleModule, units: List[str]) -> None:
    """Stop, disable and delete our units; raises Refused with systemctl's words."""
    names = [os.path.basename(unit) for unit in units]
    commands = [["systemctl", "disable", "--now", *names], ["systemctl", "daemon-reload"]]
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            said = " ".join(done.stdout.decode(errors="replace").split())
            raise Refused(f"{' '.join(command)} failed: {said}", kind="still_running")
        if command is commands[0]:
            for unit in units:
                os.unlink(unit)


def make_directories(module: AnsibleModule, root: str) -> List[str]:
    """Make our directories and give them to their owner; returns what was (or would be) done."""
    wanted = None
    if module.params["owner"]:
        try:
            wanted = pwd.getpwnam(module.params["owner"])
        except KeyError:
            if not module.check_mode:  # in check mode nobody has made the user yet
                raise Refused(
                    f"there is no user {module.params['owner']} on this device; make the user first.",
                    kind="bad_input",
                ) from None
    made, given = [], []
    for name in sorted({*OURS, *KEPT}):
        path = os.path.join(root, name)
        if not os.path.isdir(path):
            made.append(name)
            if not module.check_mode:
                os.makedirs(path, mode=0o755)
        if wanted is not None and os.path.isdir(path) and give(module, path, name, wanted):
            given.append(name)
    actions = [said(module, "make", "made", made)] if made else []
    if given:
        actions.append(f"{said(module, 'give', 'gave', given)} to {module.params['owner']}")
    return actions


def give(module: AnsibleModule, path: str, name: str, owner: pwd.struct_passwd) -> bool:
    """Let a directory belong to whom it should; returns whether that was (or would be) a change."""
    uid = os.geteuid() if name in KEPT else owner.pw_uid
    gid = owner.pw_gid if name == SHARED or name not in KEPT else os.getegid()
    mode = 0o1775 if name == SHARED else 0o755
    found = os.stat(path)
    if (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (uid, gid, mode):
        return False
    if not module.check_mode:
        os.chown(path, uid, gid)
        os.chmod(path, mode)
    return True


def said(module: AnsibleModule, would: str, done: str, names: List[str]) -> str:
    """One action."""
    return f"{f'would {would}' if module.check_mode else done} {', '.join(names)}"


def write_files(module: AnsibleModule, root: str) -> List[str]:
    """Write what differs, remove what must not be there; returns the names of those files."""
    owner = module.params["owner"]
    # In check mode nobody may have made the user yet; without one the file is written anew anyway.
    known = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_name == owner] if owner else []
    reader = known[0] if known else os.geteuid()
    written = []
    for files, mode, uid in (("files", 0o644, os.geteuid()), ("secrets", 0o600, reader)):
        for name, content in sorted(module.params[files].items()):
            path = os.path.join(root, SETTINGS, name)
            data = str(content).encode() if content else None
            if read(path) == data and (data is None or is_for(path, mode, uid)):
                continue
            written.append(name)
            if not module.check_mode:
                write(path, data, mode, uid)
    return written


def is_for(path: str, mode: int, uid: int) -> bool:
    """Whether a file is its owner's, who may do with it what `mode` says."""
    found = os.stat(path)
    return (found.st_uid, found.st_mode & 0o7777) == (uid, mode)


def write(path: str, data: Optional[bytes], mode: int, uid: int) -> None:
    """Have a file with this content, whole or not at all; None: have none."""
    if data is None:
        os.unlink(path)
        return
    # It is made for its maker alone, so that no secret is ever seen.
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.chown(file.name, uid, -1)
    os.chmod(file.name, mode)
    os.replace(file.name, path)


def read(path: str) -> Optional[bytes]:
    """The file's content; None when there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def put_in_place(module: AnsibleModule, root: str) -> Answer:
    """Make directories and write settings."""
    actions = make_directories(module, root)
    written = write_files(module, root)
    if written:
        actions.append(said(module, "write", "wrote", written))
    return {"changed": bool(actions), "actions": actions, "files": written}


def take_off(module: AnsibleModule, root: str) -> Answer:
    """Stop and remove everything of ours."""
    units = [unit for kind in UNITS for unit in sorted(glob.glob(kind))] if root == "/" else []
    pid = running_supervisor(root)
    there = [name for name in OURS if os.path.isdir(os.path.join(root, name))]
    actions = [said(module, "stop", "stopped", ["the services"])] if units or pid is not None else []
    removed = [*map(os.path.basename, units), *there]
    actions += [said(module, "remove", "removed", removed)] if removed else []
    answer: Answer = {"changed": bool(actions), "actions": actions}
    if module.check_mode:
        return answer
    if units:
        remove_units(module, units)
    if pid is not None:
        stop_supervisor(module, root, pid)
    for name in there:
        path = os.path.join(root, name)
        if not os.path.isdir(path):  # systemd takes run/edgeai away with the service
            continue
        shutil.rmtree(os.path.realpath(path))
        if os.path.islink(path):
            os.unlink(path)
    for path in (os.path.normpath(os.path.join(root, name)) for name in ABOVE if root != "/"):
        if os.path.isdir(path) and not os.listdir(path):
            os.rmdir(path)
    return answer


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            owner={"type": "str"},
            files={"type": "dict", "default": {}},
            secrets={"type": "dict", "default": {}, "no_log": True},
            stop_timeout_s={"type": "float", "default": 90.0},
        ),
        supports_check_mode=True,
    )
    root = os.path.abspath(module.params["root"])
    if module.params["state"] == "absent":
        conclude(module, lambda: take_off(module, root), already="nothing of ours is there")
    conclude(module, lambda: put_in_place(module, root), already="everything is in place")


if __name__ == "__main__":
    main()
