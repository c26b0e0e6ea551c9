"""What must hold between the parts of a release."""

from __future__ import annotations

from typing import Mapping, Optional

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.parts import Blob, Pipeline, Recipe, Sets
from edgeai_runtime.release.pipelines import LABELLED_OPERATIONS


def check_parts(
    sets: Sets,
    labels: Optional[Blob],
    pipeline: Pipeline,
    recipes: Mapping[str, Recipe],
    names: Mapping[str, str],
    origin: str,
) -> None:
    """Refuse parts that do not go together; `names` (sha256 -> file) makes errors readable.

    Raises InputError.
    """
    for name in ("selection", "golden"):
        if not getattr(sets, name):
            raise InputError(f"{origin}: the {name} set is empty; add at least one sample to it.")
    for device_class, recipe in sorted(recipes.items()):
        if recipe.quantize == "static" and not sets.calibration:
            raise InputError(
                f"{origin}, [recipes.{device_class}]: static quantization needs a calibration set; "
                'add one under [sets] or choose quantize = "dynamic".'
            )
    operations = [step["op"] for step in pipeline.post]
    for name in LABELLED_OPERATIONS:
        if name in operations and labels is None:
            raise InputError(
                f'{origin}: {name} needs the model\'s labels; add labels = "labels.txt" under [model].'
            )
    _check_expected(sets, "detections" in operations, names, origin)
    _check_disjoint(sets, names, origin)


def _check_expected(sets: Sets, boxes: bool, names: Mapping[str, str], origin: str) -> None:
    wanted = 'a list of {"label", "box"}' if boxes else "a text"
    for sample in (*sets.selection, *sets.golden):
        if isinstance(sample.expect, str) == boxes:
            raise InputError(
                f"{origin}: the sample {names.get(sample.sha256, sample.sha256)} expects {sample.expect!r}, "
                f"its pipeline answers {'with' if boxes else 'without'} boxes; expect {wanted}."
            )


def _check_disjoint(sets: Sets, names: Mapping[str, str], origin: str) -> None:
    for first, second in (("calibration", "golden"), ("calibration", "selection"), ("selection", "golden")):
        of_first = {sample.sha256 for sample in getattr(sets, first)}
        shared = {
            s.sha256: names.get(s.sha256, s.sha256) for s in getattr(sets, second) if s.sha256 in of_first
        }
        if shared:
            shown = sorted(shared.values())
            more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
            images = "1 image" if len(shown) == 1 else f"{len(shown)} images"
            raise InputError(
                f"{origin}: the {first} and {second} sets share {images}: {', '.join(shown[:5])}{more}; "
                "a measure on images the conversion has seen proves nothing, so remove them from one set."
            )
