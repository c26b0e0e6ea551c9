"""What a depot offers, verified: read by a controller before it provisions anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

from edgeai_runtime.trust.client import connect, read_pinned_root


def show_bundle(depot_url: str, root_json: Path) -> Dict[str, Any]:
    """The content of bundle.json plus `locks`: {name: {"sha256", "size"}}.

    bundle.json has schema, created, expires, runtime_version, runtime_wheel {"filename", "sha256",
    "size"}, targets and releases {name: [versions]}. Nothing is kept between calls.
    Raises InputError, TrustError, TransferError.
    """
    with connect(depot_url, read_pinned_root(root_json)) as depot:
        content: Dict[str, Any] = json.loads(depot.read("bundle.json"))
        names = [*content["targets"], "supervisor"]
        content["locks"] = {name: depot.target(f"locks/{name}.json") for name in names}
    return content
