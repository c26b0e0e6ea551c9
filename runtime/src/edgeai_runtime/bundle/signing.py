"""TUF metadata of a bundle, signed on the workstation.

The layout is python-tuf's with consistent snapshots: a client fetches `N.targets.json` and
`<sha256>.<name>`, so that devices see a bundle that is replaced as the old or the new one.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Dict, Mapping, Sequence

# The package names its exports in a way that a type checker does not follow.
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    MetaFile,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edgeai_runtime.bundle.trust_root import Keys
from edgeai_runtime.durable import write_atomic


def sign(metadata: Path, keys: Keys, targets: Mapping[str, bytes], now: datetime, expires: datetime) -> None:
    """Sign `targets` (name -> content) as the next version of the bundle in `metadata`.

    The timestamp is written last, right after the roots that may have other keys for it: until then a
    device sees the bundle as it was. All roots stay, so that a device follows that slept through several.
    A version is the time in seconds, so that a bundle made anew in an empty directory is still newer than
    any that a device has seen.
    """
    version = max(current_version(metadata) + 1, int(now.timestamp()))
    infos = {name: TargetFile.from_data(name, data, ["sha256"]) for name, data in targets.items()}
    signed = keys.sign("targets", Metadata(Targets(version=version, expires=expires, targets=infos)))
    write_atomic(metadata / f"{version}.targets.json", signed)
    snapshot = Snapshot(version=version, expires=expires, meta={"targets.json": MetaFile(version)})
    write_atomic(metadata / f"{version}.snapshot.json", keys.sign("snapshot", Metadata(snapshot)))
    timestamp = Timestamp(version=version, expires=expires, snapshot_meta=MetaFile(version))
    signed = keys.sign("timestamp", Metadata(timestamp))
    for number, root in enumerate(keys.roots, 1):
        if not (metadata / f"{number}.root.json").is_file():
            write_atomic(metadata / f"{number}.root.json", root)
    write_atomic(metadata / "timestamp.json", signed)


def current_version(metadata: Path) -> int:
    """The version that the bundle's timestamp names, 0 when there is no bundle yet."""
    path = metadata / "timestamp.json"
    return int(json.loads(path.read_bytes())["signed"]["version"]) if path.is_file() else 0


def has_newest_root(metadata: Path, roots: Sequence[bytes]) -> bool:
    """Whether devices can follow to the newest of `roots` from here; there may be none to compare with."""
    path = metadata / f"{len(roots)}.root.json"
    return not roots or (path.is_file() and path.read_bytes() == roots[-1])


def signed_targets(metadata: Path) -> Dict[str, str]:
    """The sha256 of each target in the bundle as it is, empty when there is no bundle yet."""
    path = metadata / f"{current_version(metadata)}.targets.json"
    if not path.is_file():
        return {}
    targets = json.loads(path.read_bytes())["signed"]["targets"]
    return {name: info["hashes"]["sha256"] for name, info in targets.items()}
