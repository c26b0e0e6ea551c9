"""probe.json: what a generation answered rightly at its gate, for the keeper to ask it again."""

from __future__ import annotations

import json
import zlib
from typing import Any, Dict, List, Optional, Sequence, Set

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.gates.verdict import Verdict
from edgeai_runtime.generations.manifest import Manifest
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.store import blob_path

SCHEMA = 1
PROBE_FILE = "probe.json"


def write_probes(
    paths: Paths, manifest: Manifest, verdicts: Sequence[Verdict], before: Optional[Manifest]
) -> None:
    """Write one sample for each model: of `verdicts`, and for models not measured now those of `before`.

    The keeper says what is in a sample (its load_samples).
    """
    samples = {sample["model"]: sample for sample in _samples(paths, before)} if before else {}
    for verdict in verdicts:
        samples.pop(verdict.model, None)
        if verdict.known is not None:
            samples[verdict.model] = {
                "model": verdict.model,
                "sample": verdict.known.sha256,
                "crc32": zlib.crc32(blob_path(paths, verdict.known.sha256).read_bytes()),
                "content_type": verdict.known.content_type,
                "expect": verdict.known.answer,
            }
    kept = [sample for model, sample in sorted(samples.items()) if model in manifest.models]
    content = json.dumps({"schema": SCHEMA, "samples": kept}, indent=1)
    write_atomic(paths.generation(manifest.generation) / PROBE_FILE, content.encode())


def has_probes(paths: Paths, manifest: Manifest) -> bool:
    """Whether what its gate left is there; it left nothing where the generation has no models."""
    return bool(_samples(paths, manifest)) or not manifest.models


def sampled_blobs(paths: Paths, manifest: Manifest) -> Set[str]:
    """The blobs that the keeper asks a generation about."""
    return {str(sample["sample"]) for sample in _samples(paths, manifest)}


def _samples(paths: Paths, manifest: Manifest) -> List[Dict[str, Any]]:
    path = paths.generation(manifest.generation) / PROBE_FILE
    try:
        samples: List[Dict[str, Any]] = json.loads(path.read_bytes())["samples"]
        return [sample for sample in samples if {"model", "sample"} <= sample.keys()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # it measured nothing, or the file is damaged, for which the keeper has an alarm
