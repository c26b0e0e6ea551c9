# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a bundle's directory, looked at alike on the controller and on the depot."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Dict, NamedTuple, Optional, Tuple

# Where runtime/src/edgeai_runtime/bundle/layout.py puts them. What is hidden is not served.
_WORD = r"[^/.][^/]*"
_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})")
_TARGET = re.compile(rf"targets/(?:{_WORD}/)*([0-9a-f]{{64}})\.[^/]+")
_METADATA = re.compile(rf"metadata/{_WORD}\.json")

TIMESTAMP = "metadata/timestamp.json"
SIGNED = ("targets", "metadata")  # small: together they say what the bundle is
DIRECTORIES = ("blobs", *SIGNED)
OFFERS = "updates.json"  # for dashboards
# A reader gets the timestamp first, and from there to everything else; so it is brought after that.
ORDER = (*DIRECTORIES, OFFERS)


class File(NamedTuple):
    """What two files have in common that are the same."""

    size: int
    sha256: str


def is_ours(name: str) -> bool:
    """Whether a path below a bundle's directory is a file of the bundle."""
    return name == OFFERS or any(pattern.fullmatch(name) for pattern in (_BLOB, _TARGET, _METADATA))


def digest_in(name: str) -> Optional[str]:
    """The sha256 that a file's name promises; metadata has none."""
    match = _BLOB.fullmatch(name) or _TARGET.fullmatch(name)
    return match.group(1) if match else None


def find_files(directory: str) -> Dict[str, File]:
    """The bundle's files below `directory` by their names, in the order to bring them; raises OSError.

    Blobs are known by their names: whoever put them there has proved them. The others are small and read.
    """
    found = {}
    offers = os.path.join(directory, OFFERS)
    if os.path.isfile(offers):
        found[OFFERS] = File(os.stat(offers).st_size, _sha256(offers))
    for part in DIRECTORIES:
        walk = os.walk(os.path.join(directory, part), onerror=_unreadable, followlinks=True)
        for parent, _directories, leaves in walk:
            for leaf in leaves:
                path = os.path.join(parent, leaf)
                name = os.path.relpath(path, directory)
                if is_ours(name):
                    blob = digest_in(name) if part == "blobs" else None
                    found[name] = File(os.stat(path).st_size, blob or _sha256(path))
    return {name: found[name] for name in sorted(found, key=_place)}


def _place(name: str) -> Tuple[int, bool, str]:
    return ORDER.index(name.partition("/")[0]), name == TIMESTAMP, name


def _unreadable(error: OSError) -> None:
    """A directory that is not there has no files; any other error is one."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
