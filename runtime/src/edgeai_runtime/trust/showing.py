"""What a depot offers, verified: read by a controller before it provisions anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

from edgeai_runtime.release import Release
from edgeai_runtime.trust.client import Client, connect, read_pinned_root


def show_bundle(depot_url: str, root_json: Path) -> Dict[str, Any]:
    """The content of bundle.json, and what a device needs for it, so that preflight can refuse.

    bundle.json has schema, created, expires, runtime_version, runtime_wheel {"filename", "sha256",
    "size"}, targets and releases {name: [versions]}. Added are `locks`: {name: {"sha256", "size",
    "glibc", "wheels_size"}}, `largest_release` and `largest_model` (0 without releases); sizes in
    bytes. Nothing is kept between calls. Raises InputError, TrustError, TransferError.
    """
    with connect(depot_url, read_pinned_root(root_json)) as depot:
        content: Dict[str, Any] = json.loads(depot.read("bundle.json"))
        content["locks"] = {name: _lock(depot, name) for name in [*content["targets"], "supervisor"]}
        content["debian"] = {name: _suite(depot, name) for name in content.get("debian", [])}
        releases = [
            _release(depot, f"releases/{name}/{version}.json")
            for name, versions in content["releases"].items()
            for version in versions
        ]
        sizes = [sum(blob.size for blob in release.blobs) for release in releases]
        content["largest_release"] = max(sizes, default=0)
        content["largest_model"] = max((release.model_size for release in releases), default=0)
    return content


def _lock(depot: Client, name: str) -> Dict[str, Any]:
    target = f"locks/{name}.json"
    lock = json.loads(depot.read(target))
    wheels_size = sum(wheel["size"] for wheel in lock["wheels"])
    return {**depot.target(target), "glibc": lock["glibc"], "wheels_size": wheels_size}


def _suite(depot: Client, name: str) -> Dict[str, Any]:
    target = f"debian/{name}.json"
    return {**depot.target(target), "packages": json.loads(depot.read(target))["packages"]}


def _release(depot: Client, target: str) -> Release:
    return Release.from_json(depot.read(target), target)
