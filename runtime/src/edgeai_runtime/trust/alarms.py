"""What the device has to say about its trust, beside what its keeper says about its service."""

from __future__ import annotations

from typing import List, Mapping

from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.revoked import why_revoked


def alarms(paths: Paths, models: Mapping[str, str]) -> List[str]:
    """Sentences for `edgeai status`; `models` are the versions served, by name."""
    reasons = {name: why_revoked(paths, name, version) for name, version in models.items()}
    return [
        f"{name} {models[name]} is served and was revoked ({reason}); roll out another version."
        for name, reason in reasons.items()
        if reason is not None
    ]
