"""The tables that release.toml and the manifest spell alike: identity, pipeline, recipes, gates."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.parts import Recipe
from edgeai_runtime.release.pipelines import read_pipeline
from edgeai_runtime.release.serving import read_serving
from edgeai_runtime.strict import NUMBERS, check_keys, choice, typed, within

DEVICE_CLASSES = ("industrial_pc", "jetson", "raspberry_pi")
ENGINES = ("onnxruntime",)
QUANTIZERS = ("none", "dynamic", "static")

# Range of each gate, both ends included; `exact_match` is a minimum, the others are maxima.
GATES: Dict[str, Tuple[float, float]] = {
    "exact_match": (0.0, 1.0),
    "p99_ms": (0.001, 3_600_000.0),
    "memory_mb": (1.0, 1_048_576.0),
    "error_rate": (0.0, 1.0),
    "p99_ratio": (1.0, 1_000.0),
}

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NUMBER = r"(0|[1-9]\d*)"
_IDENTIFIERS = r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*"
# https://semver.org, without its rule on leading zeros of numeric pre-release identifiers.
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_IDENTIFIERS})?(\+{_IDENTIFIERS})?")


def described(table: Mapping[str, Any], origin: str) -> Dict[str, Any]:
    """The fields of Release that release.toml and the manifest spell alike, checked."""
    name = typed(table, "name", str, origin)
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{origin}: the name is '{name}', expected lower-case letters, digits and hyphens; rename it."
        )
    version = typed(table, "version", str, origin)
    if not _VERSION.fullmatch(version):
        raise InputError(
            f"{origin}: the version is '{version}', expected one like 1.4.0 (semver); correct it."
        )
    recipes = typed(table, "recipes", dict, origin)
    check_keys(recipes, optional=DEVICE_CLASSES, origin=f"{origin}, [recipes]")
    if not recipes:
        raise InputError(f"{origin}: no device class has a recipe; add [recipes.raspberry_pi] or another.")
    return {
        "name": name,
        "version": version,
        "description": typed(table, "description", str, origin),
        "pipeline": read_pipeline(typed(table, "pipeline", dict, origin), origin),
        "recipes": {
            device_class: _recipe(
                typed(recipes, device_class, dict, origin), f"{origin}, [recipes.{device_class}]"
            )
            for device_class in recipes
        },
        "gates": _gates(typed(table, "gates", dict, origin), f"{origin}, [gates]"),
        "serving": read_serving(typed(table, "serving", dict, origin, {}), f"{origin}, [serving]"),
    }


def _recipe(table: Mapping[str, Any], origin: str) -> Recipe:
    check_keys(table, ["engine", "quantize"], ["operators", "per_channel", "prune", "threads"], origin=origin)
    operators = typed(table, "operators", list, origin, [])
    if not all(isinstance(operator, str) for operator in operators):
        raise InputError(
            f"{origin}: 'operators' is {operators!r}, expected names such as \"Conv\"; correct it."
        )
    recipe = Recipe(
        engine=choice(table, "engine", ENGINES, origin),
        quantize=choice(table, "quantize", QUANTIZERS, origin),
        operators=tuple(operators),
        per_channel=typed(table, "per_channel", bool, origin, False),
        prune=float(typed(table, "prune", NUMBERS, origin, 0.0)),
        threads=typed(table, "threads", int, origin, 1),
    )
    if not 0.0 <= recipe.prune < 1.0:
        raise InputError(
            f"{origin}: 'prune' is {recipe.prune}, expected a share from 0 to below 1; correct it."
        )
    within(recipe.threads, 1, 256, f"{origin}: 'threads'")
    return recipe


def _gates(table: Mapping[str, Any], origin: str) -> Dict[str, float]:
    check_keys(table, ["exact_match"], [gate for gate in GATES if gate != "exact_match"], origin=origin)
    gates = {}
    for gate in table:
        gates[gate] = float(typed(table, gate, NUMBERS, origin))
        within(gates[gate], *GATES[gate], f"{origin}: '{gate}'")
    return gates
