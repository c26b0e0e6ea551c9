"""What the device has to say about its trust, beside what its keeper says about its service."""

from __future__ import annotations

from typing import List, Mapping

from edgeai_runtime.errors import DamagedError
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.clock import believed_time
from edgeai_runtime.trust.known import expired_since
from edgeai_runtime.trust.revoked import why_revoked


def alarms(paths: Paths, models: Mapping[str, str]) -> List[str]:
    """Sentences for `edgeai status`; `models` are the versions served, by name."""
    time = believed_time(paths)
    said = [time.problem] if time.problem else []
    expired = expired_since(paths, time.now)
    if expired is not None:
        said.append(
            f"The newest bundle that this device has seen expired on {expired:%Y-%m-%d}: it goes on serving "
            "and takes only a fresh one; build one on the workstation and deploy it."
        )
    try:
        reasons = {name: why_revoked(paths, name, version) for name, version in models.items()}
    except DamagedError as error:
        return [*said, error.message]
    said += [
        f"{name} {models[name]} is served and was revoked ({reason}); roll out another version."
        for name, reason in reasons.items()
        if reason is not None
    ]
    return said
