"""Prove a composed generation and switch to it: the one way any generation goes live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional

from edgeai_runtime import gates
from edgeai_runtime.durable import append_journal
from edgeai_runtime.errors import GateFailed, StorageError
from edgeai_runtime.gates.verdict import as_details
from edgeai_runtime.generations.compose import Composed, Placed, discard
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.generations.manifest import Manifest
from edgeai_runtime.generations.probes import write_probes
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release

# A small device loads and warms up several models in this; the one that serves goes on meanwhile.
READY_LIMIT_S = 120.0
SOAK_MIN_REQUESTS = 20


@dataclass(frozen=True)
class Switched:
    """`verdict` as JSON, `switch_ms` from the start of the new process to its first accept.

    `pause_ms` is for how long nobody accepted, where memory did not hold two processes.
    """

    verdict: Dict[str, Any]
    switch_ms: float
    pause_ms: float


def prove_and_switch(
    paths: Paths,
    composed: Composed,
    models: Mapping[str, Placed],
    before: Optional[Manifest],
    deadline_s: float,
    progress: Callable[[str], None],
) -> Switched:
    """Gate what is new in a generation against `before`, then have the keeper switch to it, on trial.

    A generation that was made for this and does not pass is removed again.
    Raises GateFailed, KeeperError, StorageError.
    """
    manifest = composed.manifest
    releases = [models[name].release for name in new_models(manifest, before)]
    digests = {f"{release.name} {release.version}": release.digest for release in releases}
    try:
        verdicts = gates.prove(
            paths,
            paths.generation(manifest.generation),
            manifest.environment,
            releases,
            _still(before, releases),
            progress,
        )
        verdict = as_details(verdicts)
        write_probes(paths, manifest, verdicts, before)
        if releases:
            append_journal(paths, "gate_passed", generation=manifest.generation, releases=digests, **verdict)
    except (GateFailed, StorageError) as error:
        if composed.made:
            discard(paths, manifest.generation)
        if isinstance(error, GateFailed):
            failed = {"generation": manifest.generation, "releases": digests, "reason": error.message}
            append_journal(paths, "gate_failed", **failed)
        raise
    progress(f"switching to generation {manifest.generation}")
    answer = KeeperClient(paths).request(
        {
            "command": "switch",
            "generation": manifest.generation,
            "deadline_s": deadline_s,
            "ready_timeout_s": READY_LIMIT_S,
            "soak": _soak(releases),
            "memory_mb": max([0.0, *(verdict.peak_rss_mb for verdict in verdicts)]) * 1e6 / (1 << 20),
        },
        timeout_s=READY_LIMIT_S + 30.0,
    )
    return Switched(verdict, float(answer["switch_ms"]), float(answer["pause_ms"]))


def new_models(manifest: Manifest, before: Optional[Manifest]) -> List[str]:
    """The models not yet proved in this setting: another environment or platform makes all of them new."""
    if before is None or (before.environment, before.platform) != (manifest.environment, manifest.platform):
        return list(manifest.models)
    return [
        name
        for name, entry in manifest.models.items()
        if name not in before.models or before.models[name].identity != entry.identity
    ]


def _soak(releases: List[Release]) -> Dict[str, Any]:
    """The strictest limits of what is new; the keeper's own defaults where no release names one."""
    limits = {}
    for gate, limit in (("error_rate", "max_error_rate"), ("p99_ratio", "max_p99_ratio")):
        named = [release.gates[gate] for release in releases if gate in release.gates]
        if named:
            limits[limit] = min(named)
    return {**limits, "min_requests": SOAK_MIN_REQUESTS}


def _still(before: Optional[Manifest], releases: List[Release]) -> str:
    """How a failure's sentence ends: what goes on serving."""
    there = before.models if before else {}
    serving = [there[release.name].version for release in releases if release.name in there]
    if serving:
        return f"{', '.join(serving)} still serves"
    return "the others still serve" if there else "nothing was changed"
