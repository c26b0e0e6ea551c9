"""The operations a pipeline may have, and their parameters."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.parts import Pipeline
from edgeai_runtime.release.values import NUMBERS, choice, typed
from edgeai_runtime.strict import check_keys

Parameters = Mapping[str, Tuple[Sequence[str], Sequence[str]]]

# Parameters of each operation: (required, optional).
PRE_OPERATIONS: Parameters = {
    "decode": ((), ()),
    "resize": (("height",), ("width", "min_width", "max_width")),
    "normalize": (("mean", "std"), ()),
    "layout": (("color", "order"), ()),
}
POST_OPERATIONS: Parameters = {"ctc_text": ((), ())}


def read_pipeline(table: Mapping[str, Any], origin: str) -> Pipeline:
    """The pipeline in {"pre": [...], "post": [...]}; raises InputError."""
    check_keys(table, ["pre", "post"], origin=f"{origin}, [pipeline]")
    return Pipeline(
        pre=_operations(table, "pre", PRE_OPERATIONS, origin),
        post=_operations(table, "post", POST_OPERATIONS, origin),
    )


def _operations(
    pipeline: Mapping[str, Any],
    side: str,
    known: Parameters,
    origin: str,
) -> Tuple[Mapping[str, Any], ...]:
    where = f"{origin}, [[pipeline.{side}]]"
    steps = typed(pipeline, side, list, origin)
    for step in steps:
        if not isinstance(step, dict):
            raise InputError(f"{where}: {step!r} is no operation, expected a table with 'op'; correct it.")
        name = typed(step, "op", str, where)
        if name not in known:
            raise InputError(
                f"{where}: the operation '{name}' is unknown; known are: {', '.join(sorted(known))}."
            )
        required, optional = known[name]
        check_keys(step, ["op", *required], optional, origin=f"{where} '{name}'")
        _check_parameters(step, f"{where} '{name}'")
    return tuple(steps)


def _check_parameters(step: Mapping[str, Any], origin: str) -> None:
    for key in ("height", "width", "min_width", "max_width"):
        if key in step and typed(step, key, int, origin) < 1:
            raise InputError(f"{origin}: '{key}' is {step[key]}, expected at least 1 pixel; correct it.")
    if step.get("min_width", 0) > step.get("max_width", float("inf")):
        raise InputError(f"{origin}: 'min_width' is above 'max_width'; correct one of them.")
    for key in ("mean", "std"):
        values = typed(step, key, list, origin) if key in step else [1.0] * 3
        numeric = all(isinstance(v, NUMBERS) and not isinstance(v, bool) for v in values)
        if len(values) != 3 or not numeric or (key == "std" and 0 in values):
            raise InputError(
                f"{origin}: '{key}' is {values!r}, expected three numbers (none 0 in std); correct it."
            )
    for key, choices in (("color", ("RGB", "BGR")), ("order", ("NCHW", "NHWC"))):
        if key in step:
            choice(step, key, choices, origin)
