"""A release and its manifest: canonical JSON, so that equal releases have equal bytes and one digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.checks import check_parts
from edgeai_runtime.release.expect import read_expected
from edgeai_runtime.release.parts import Blob, Pipeline, Sample, Sets
from edgeai_runtime.release.quality import QUALITIES
from edgeai_runtime.release.recipe import Recipe
from edgeai_runtime.release.serving import AS_MEASURED, Serving
from edgeai_runtime.release.tables import described
from edgeai_runtime.release.values import SCHEMA, check_schema, sha256_of
from edgeai_runtime.strict import check_keys, typed


@dataclass(frozen=True)
class Release:
    """An immutable, versioned unit; `gates` holds only the gates its author set, one of them of QUALITIES.

    `model` is its graph, which names `tensors` as external data by their place in the store.
    """

    name: str
    version: str
    description: str
    model: Blob
    labels: Optional[Blob]
    pipeline: Pipeline
    sets: Sets
    recipes: Dict[str, Recipe]
    gates: Dict[str, float]
    tensors: Tuple[Blob, ...] = ()
    serving: Serving = AS_MEASURED

    @property
    def digest(self) -> str:
        """The sha256 of the manifest: the release's identity."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def quality(self) -> str:
        """The name of the gate that says how good answers must be."""
        return next(gate for gate in self.gates if gate in QUALITIES)

    @property
    def model_size(self) -> int:
        """The bytes of the whole model."""
        return self.model.size + sum(tensor.size for tensor in self.tensors)

    @property
    def blobs(self) -> Tuple[Blob, ...]:
        """Every file of the release once: graph, tensors, labels, calibration, selection, golden samples."""
        sets = self.sets
        named = [self.model, *self.tensors, *([self.labels] if self.labels else [])]
        named += [*sets.calibration, *sets.selection, *sets.golden]
        return tuple({blob.sha256: Blob(blob.sha256, blob.size) for blob in named}.values())

    def recipe_for(self, device_class: str) -> Recipe:
        """The recipe of a device class; raises InputError naming the classes the release supports."""
        if device_class not in self.recipes:
            raise InputError(
                f"{self.name} {self.version} has no recipe for the device class '{device_class}', only for "
                f"{', '.join(sorted(self.recipes))}; add [recipes.{device_class}] in a new version."
            )
        return self.recipes[device_class]

    def to_json(self) -> bytes:
        """The manifest as canonical JSON."""
        sets, wishes = self.sets, self.serving.to_json()
        manifest = {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "model": {**vars(self.model), **self._tensors()},
            "labels": vars(self.labels) if self.labels else None,
            "pipeline": {"pre": self.pipeline.pre, "post": self.pipeline.post},
            "sets": {
                "calibration": [{"sha256": s.sha256, "size": s.size} for s in sets.calibration],
                "selection": [vars(sample) for sample in sets.selection],
                "golden": [vars(sample) for sample in sets.golden],
            },
            "recipes": {name: recipe.to_json() for name, recipe in self.recipes.items()},
            "gates": self.gates,
            **({"serving": wishes} if wishes else {}),
        }
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode() + b"\n"

    def _tensors(self) -> Dict[str, Any]:
        """Named only where there are some: the manifest of a model in one file is as it always was."""
        return {"tensors": [vars(tensor) for tensor in self.tensors]} if self.tensors else {}

    @classmethod
    def from_json(cls, data: bytes, origin: str) -> Release:
        """Read a manifest; `origin` names it in errors. Raises InputError for anything not canonical."""
        try:
            manifest = json.loads(data)
        except ValueError as error:
            raise InputError(f"{origin}: this is not JSON ({error}); fetch the release again.") from None
        if not isinstance(manifest, dict):
            raise InputError(f"{origin}: a release manifest is expected here; fetch the release again.")
        check_schema(manifest, origin)
        keys = ["schema", "name", "version", "description", "model", "labels"]
        check_keys(manifest, [*keys, "pipeline", "sets", "recipes", "gates"], ["serving"], origin=origin)
        sets = typed(manifest, "sets", dict, origin)
        check_keys(sets, ["calibration", "selection", "golden"], origin=f"{origin}, sets")
        model = dict(typed(manifest, "model", dict, origin))
        tensors = typed(model, "tensors", list, f"{origin}, model", [])
        model.pop("tensors", None)
        release = cls(
            model=Blob.from_json(model, f"{origin}, model"),
            tensors=tuple(Blob.from_json(tensor, f"{origin}, model.tensors") for tensor in tensors),
            labels=(
                None
                if manifest["labels"] is None
                else Blob.from_json(typed(manifest, "labels", dict, origin), f"{origin}, labels")
            ),
            sets=Sets(
                calibration=_samples(sets, "calibration", origin),
                selection=_samples(sets, "selection", origin),
                golden=_samples(sets, "golden", origin),
            ),
            **described(manifest, origin),
        )
        check_parts(release, {}, origin)
        if release.to_json() != data:
            raise InputError(f"{origin}: this manifest is not in canonical form; build the bundle again.")
        return release


def _samples(sets: Mapping[str, Any], name: str, origin: str) -> Tuple[Sample, ...]:
    where = f"{origin}, sets.{name}"
    keys = ["sha256", "size"] if name == "calibration" else ["sha256", "size", "expect"]
    samples = []
    for table in typed(sets, name, list, origin):
        check_keys(table, keys, origin=where)
        expect = None if name == "calibration" else read_expected(table, where)
        samples.append(Sample(sha256_of(table, where), typed(table, "size", int, where), expect))
    return tuple(samples)
