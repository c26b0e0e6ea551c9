# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies a bundle to the depot: one look at what is there, then what is missing, in a few archives."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible_collections.edgeai.fleet.plugins.module_utils.bundle_files import (
    TIMESTAMP,
    File,
    digest_in,
    find_files,
)
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Refused, result_of

# Bytes in one archive, if it has more than one file: so much is sent again after a cable was pulled,
# and so much room the archive itself needs on both machines.
ARCHIVE_SIZE = 128 << 20
BLOCK = 4096  # bytes; what the smallest file takes on a disk

Result = Dict[str, Any]


class ActionModule(ActionBase):  # type: ignore[misc]
    """What the controller does; plugins/modules/bundle_copy.py documents it, and is the depot's part."""

    TRANSFERS_FILES = True  # Ansible makes a temporary directory on the depot first

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        self._variables = task_vars
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "src": {"type": "path", "required": True},
                "dest": {"type": "str", "required": True},  # "~" is the depot's
            }
        )
        try:
            result.update(self._copy(str(Path(arguments["src"]).absolute()), arguments["dest"]))
        except Refused as refused:
            result.update({"failed": True, "changed": False, **refused.failure})
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _copy(self, src: str, dest: str) -> Result:
        """The result of the task; raises Refused."""
        check = self._task.check_mode
        if check and not (Path(src) / TIMESTAMP).is_file():
            said = f"would send the bundle that is still to be made in {src}"
            return result_of({"changed": True, "actions": [said], "files": 0, "size": 0}, already="")
        bundle = read_bundle(src)
        there = self._on_depot(src, dest, staging=self._connection._shell.tmpdir)
        missing = {name: file for name, file in bundle.items() if there["files"].get(name) != list(file)}
        archives = list(in_archives(missing))
        refuse_without_room(dest, archives, there)
        for archive in archives if not check else ():
            self._send(src, dest, archive)
        size = sum(file.size for file in missing.values())
        actions = []
        if missing:
            files = counted(len(missing), "file")
            actions.append(f"{'would send' if check else 'sent'} {files}, {size / 1e6:.1f} MB")
        if there["wrong_modes"]:
            modes = counted(there["wrong_modes"], "mode")
            actions.append(f"{'would correct' if check else 'corrected'} {modes}")
        answer = {"changed": bool(actions), "actions": actions, "files": len(missing), "size": size}
        return result_of(answer, already=f"{dest} holds all of it")

    def _send(self, src: str, dest: str, files: Mapping[str, File]) -> None:
        """Bring these files to the depot, all of them or none; raises Refused."""
        shell = self._connection._shell
        archive = shell.join_path(shell.tmpdir, "bundle.tar")
        with tempfile.NamedTemporaryFile(dir=constants.DEFAULT_LOCAL_TMP, suffix=".tar") as local:
            try:
                pack(local, src, files)
            except OSError as error:
                raise Refused(
                    f"{src} cannot be packed on the controller ({error.filename or local.name}: "
                    f"{error.strerror or error}); put that right, then run it again.",
                    kind="bad_input",
                ) from None
            self._transfer_file(local.name, archive)
        self._fixup_perms2((shell.tmpdir, archive))
        self._on_depot(src, dest, archive=archive)

    def _on_depot(self, src: str, dest: str, **arguments: str) -> Result:
        """What the depot's part answers; raises Refused."""
        answer: Result = self._execute_module(
            module_name="edgeai.fleet.bundle_copy",
            module_args={"src": src, "dest": dest, **arguments},
            task_vars=self._variables,
        )
        if answer.get("failed"):
            told = answer.get("module_stderr") or answer.get("details")
            raise Refused(answer["msg"], kind=answer.get("kind", "transfer"), details={"depot": told})
        return answer


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def read_bundle(src: str) -> Dict[str, File]:
    """The files of the bundle in `src`, in the order to bring them; raises Refused when there is none."""
    try:
        files = find_files(src)
    except OSError as error:
        raise Refused(
            f"{error.filename}: cannot be read ({error.strerror}); copy the bundle there again.",
            kind="bad_input",
        ) from None
    if TIMESTAMP not in files:
        raise Refused(
            f"{src}: there is no bundle ({TIMESTAMP} is missing); build it with the playbook "
            "edgeai.fleet.bundle, or name the directory that holds it.",
            kind="bad_input",
        )
    return files


def in_archives(files: Mapping[str, File]) -> Iterator[Dict[str, File]]:
    """The files in their order, cut where an archive would become too large."""
    archive: Dict[str, File] = {}
    for name, file in files.items():
        if archive and room_for(archive) + room_for({name: file}) > ARCHIVE_SIZE:
            yield archive
            archive = {}
        archive[name] = file
    if archive:
        yield archive


def room_for(files: Mapping[str, File]) -> int:
    """The bytes that files take on a disk."""
    return sum(-(-file.size // BLOCK) * BLOCK for file in files.values())


def refuse_without_room(dest: str, archives: Sequence[Mapping[str, File]], there: Mapping[str, Any]) -> None:
    """Raise Refused unless the depot has room for all files and, for a while, for the largest archive."""
    files, archive = sum(map(room_for, archives)), max(map(room_for, archives), default=0)
    beside = there["staging_beside"]
    for place, needed, free in (
        (dest, files + archive if beside else files, there["free"]),
        (there["staging"], 0 if beside else archive, there["staging_free"]),
    ):
        if needed > free:
            raise Refused(
                f"{place} on the depot has {free / 1e6:.1f} MB free, and what is missing of the bundle needs "
                f"{needed / 1e6:.1f} MB; make room there, then run it again.",
                kind="transfer",
            )


def pack(archive: Any, src: str, files: Mapping[str, File]) -> None:
    """Write an archive of these files, the digests they must have first; raises OSError."""
    sums = "".join(f"{digest_in(name) or file.sha256}  {name}\n" for name, file in files.items()).encode()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        about = tarfile.TarInfo("SHA256SUMS")
        about.size = len(sums)
        tar.addfile(about, io.BytesIO(sums))
        for name in files:
            tar.add(os.path.join(src, name), name, recursive=False)
    archive.flush()
