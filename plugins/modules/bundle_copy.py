#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The depot's part of copying a bundle there; plugins/action/bundle_copy.py starts it and sends the files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_copy
short_description: Copy a bundle from the controller to a depot
description:
  - Looks once at what the depot has and sends what it lacks, many files at a time. A blob that is there with
    its size is not read again; one that was spoilt is removed by hand and then sent again.
  - Every file that comes is compared with its digest on the depot before it gets its name, and gets it whole,
    the metadata last. A device that asks meanwhile finds everything that the metadata it gets speaks of.
  - A copy that broke off has left nothing half done; the next one sends what is still missing.
  - Files that the bundle no longer names stay.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
attributes:
  action:
    description: An action plugin of the same name does it, from the controller.
    support: full
options:
  src:
    description: The bundle's directory on the controller.
    type: path
    required: true
  dest:
    description: The bundle's directory on the depot. It is made where it is missing.
    type: path
    required: true
  staging:
    description: The action's temporary directory on the depot. It gives this itself and takes it from nobody.
    type: path
  archive:
    description: Files that the action sent there. It gives this itself and takes it from nobody.
    type: path
notes:
  - Files have the mode C(0644), and directories below O(dest) C(0755), so that any web server can read them.
  - In check mode a bundle that is not there yet is no failure, so that a whole site can be checked before
    there is one.
"""

EXAMPLES = r"""
- name: Copy the bundle to the depot
  edgeai.fleet.bundle_copy:
    src: /media/stick/bundle
    dest: /srv/edgeai/bundle
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
msg:
  description: The same in one line, what there was not to do, or why it failed.
  type: str
  returned: always
kind:
  description: The kind of failure, for programs.
  type: str
  returned: failure
details:
  description: What is known about the failure.
  type: dict
  returned: failure
files:
  description: How many files were sent, or would be.
  type: int
  returned: success
size:
  description: Their bytes.
  type: int
  returned: success
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tarfile
from typing import IO, Any, Dict, Iterator, List, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.bundle_files import find_files
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Refused

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755
PIECE = 1 << 20


def look(dest: str, staging: str, check: bool) -> Dict[str, Any]:
    """What is there, and room for how many bytes more; modes are put right."""
    files = find_files(dest)
    modes = {os.path.join(dest, name): FILE_MODE for name in files}
    modes.update({parent: DIRECTORY_MODE for path in list(modes) for parent in parents(dest, path)})
    wrong = [path for path, mode in modes.items() if stat.S_IMODE(os.stat(path).st_mode) != mode]
    for path in wrong if not check else ():
        os.chmod(path, modes[path])
    place = nearest(dest)
    return {
        "files": files,
        "wrong_modes": len(wrong),
        "free": shutil.disk_usage(place).free,
        "staging": staging,
        "staging_free": shutil.disk_usage(staging).free,
        "staging_beside": os.stat(place).st_dev == os.stat(staging).st_dev,
    }


def parents(dest: str, path: str) -> Iterator[str]:
    """The directories between `dest` and `path`."""
    path = os.path.dirname(path)
    while path != dest:
        yield path
        path = os.path.dirname(path)


def nearest(path: str) -> str:
    """`path`, or of what is above it the nearest that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def make_directory(path: str) -> None:
    """Make it and what is above it, whatever the umask."""
    if not os.path.isdir(path):
        make_directory(os.path.dirname(path))
        os.mkdir(path)
        os.chmod(path, DIRECTORY_MODE)


def place(src: str, dest: str, archive: str) -> None:
    """Give the archive's files their names, in its order, once all were proved; raises Refused, OSError."""
    make_directory(dest)
    with alone(dest), tarfile.open(archive) as tar:
        members = iter(tar)
        sums = read_sums(tar, next(members))
        beside: List[Tuple[str, str]] = []
        try:
            for member in members:
                path = os.path.join(dest, member.name)
                make_directory(os.path.dirname(path))
                hidden = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}")
                beside.append((hidden, path))
                if unpack(tar, member, hidden) != sums[member.name]:
                    raise Refused(
                        f"{src}/{member.name} on the controller has other content than its name promises; "
                        "copy the bundle there again, from where it was made.",
                        kind="untrusted",
                    )
            while beside:
                hidden, path = beside[0]
                os.replace(hidden, path)
                del beside[0]
                fsync(os.path.dirname(path))
        finally:
            for hidden, _path in beside:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(hidden)


def read_sums(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Dict[str, str]:
    """The digests by name, from a file as `sha256sum` writes it."""
    lines = content(tar, member).read().decode().splitlines()
    return {name: sha256 for sha256, _space, name in (line.partition("  ") for line in lines)}


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    if file is None:
        raise Refused(f"{member.name} is no plain file; build the bundle again.", kind="untrusted")
    return file


def unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> str:
    """Write a member to `path`, durably; returns its sha256."""
    digest = hashlib.sha256()
    reading = content(tar, member)
    with open(path, "wb") as writing:
        os.fchmod(writing.fileno(), FILE_MODE)
        for piece in iter(lambda: reading.read(PIECE), b""):
            digest.update(piece)
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest()


def fsync(directory: str) -> None:
    """Make the names in it durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(directory: str) -> Iterator[None]:
    """Wait for whoever else copies into the directory, then keep others waiting."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            # From the action: its temporary directory here, and the files that it sent into it, if any.
            "staging": {"type": "path"},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    dest = os.path.abspath(params["dest"])
    try:
        if params["archive"]:
            place(params["src"], dest, params["archive"])
            module.exit_json(changed=True)
        module.exit_json(changed=False, **look(dest, params["staging"], module.check_mode))
    except Refused as refused:
        module.fail_json(**refused.failure)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or dest}: {error.strerror}; put it right on the depot, then run it again.",
            kind="transfer",
            details={},
        )


if __name__ == "__main__":
    main()
