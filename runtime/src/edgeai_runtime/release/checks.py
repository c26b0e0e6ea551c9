"""What must hold between the parts of a release."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Mapping, NamedTuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.parts import Sets
from edgeai_runtime.release.pipelines import LABELLED_OPERATIONS
from edgeai_runtime.release.quality import fits

if TYPE_CHECKING:
    from edgeai_runtime.release.manifest import Release


class _Answers(NamedTuple):
    """What a pipeline answers with, and so what its samples expect."""

    kind: type
    told: str
    wanted: str


_TEXT = _Answers(str, "a text", "a text")
_VALUES = _Answers(dict, "the model's own outputs", "an object of values by output")
# By the operation that makes the answer.
ANSWERS = {
    "ctc_text": _TEXT,
    "top_k": _Answers(str, "labels", "a text"),
    "detections": _Answers(tuple, "boxes", 'a list of {"label", "box"}'),
}


def check_parts(release: Release, names: Mapping[str, str], origin: str) -> None:
    """Refuse parts that do not go together; `names` (sha256 -> file) makes errors readable.

    Raises InputError.
    """
    sets = release.sets
    for name in ("selection", "golden"):
        if not getattr(sets, name):
            raise InputError(f"{origin}: the {name} set is empty; add at least one sample to it.")
    for device_class, recipe in sorted(release.recipes.items()):
        if recipe.quantize == "static" and not sets.calibration:
            raise InputError(
                f"{origin}, [recipes.{device_class}]: static quantization needs a calibration set; "
                'add one under [sets] or choose quantize = "dynamic".'
            )
    operations = [step["op"] for step in release.pipeline.post]
    for name in LABELLED_OPERATIONS:
        if name in operations and release.labels is None:
            raise InputError(
                f'{origin}: {name} needs the model\'s labels; add labels = "labels.txt" under [model].'
            )
    _check_expected(release, operations, names, origin)
    _check_disjoint(sets, names, origin)


def _check_expected(release: Release, operations: List[str], names: Mapping[str, str], origin: str) -> None:
    answers = next((ANSWERS[operation] for operation in operations if operation in ANSWERS), _VALUES)
    for sample in (*release.sets.selection, *release.sets.golden):
        file, expect = names.get(sample.sha256, sample.sha256), sample.expect
        of_its_kind = isinstance(expect, answers.kind)
        if expect is None or not of_its_kind:
            raise InputError(
                f"{origin}: the sample {file} expects {expect!r}, its pipeline answers with "
                f"{answers.told}; expect {answers.wanted}."
            )
        if not fits(release.quality, expect):
            raise InputError(
                f"{origin}: {release.quality} cannot be measured where the sample {file} expects "
                f"{answers.wanted}; choose another gate."
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
            samples = "1 sample" if len(shown) == 1 else f"{len(shown)} samples"
            raise InputError(
                f"{origin}: the {first} and {second} sets share {samples}: {', '.join(shown[:5])}{more}; "
                "a measure on samples the conversion has seen proves nothing, so remove them from one set."
            )
