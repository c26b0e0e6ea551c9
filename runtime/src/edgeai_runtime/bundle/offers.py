"""updates.json: what a bundle has newest, for dashboards and people with a browser. It is not signed.

A device never reads it: what is newer there, the signed metadata decides (`edgeai update check`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.release import Release
from edgeai_runtime.release.versions import version_key

FILE = "updates.json"
NOTE = "Not signed, for information only; devices decide by the signed metadata."


def write_offers(output: Path, about: Mapping[str, Any], targets: Mapping[str, bytes]) -> None:
    """Write it beside the metadata of the bundle in `output`; `targets` are the signed contents by name."""
    releases: Dict[str, Release] = {}
    environments: List[Dict[str, Any]] = []
    for name, data in sorted(targets.items()):
        if name.startswith("releases/"):
            release = Release.from_json(data, name)
            newest = releases.setdefault(release.name, release)
            if version_key(release.version) > version_key(newest.version):
                releases[release.name] = release
        elif name.startswith("locks/"):
            lock = Lock.from_json(data, name)
            size = sum(wheel.size for wheel in (lock.installer, *lock.wheels))
            environments.append({"name": lock.name, "digest": lock.digest, "size": size})
    offers = {
        "schema": 1,
        "note": NOTE,
        "created": about["created"],
        "expires": about["expires"],
        "runtime_version": about["runtime_version"],
        "environments": environments,
        "releases": [
            {
                "name": release.name,
                "version": release.version,
                "digest": release.digest,
                "size": sum(blob.size for blob in release.blobs),
            }
            for release in releases.values()
        ],
    }
    write_atomic(output / FILE, json.dumps(offers, indent=1).encode() + b"\n")
