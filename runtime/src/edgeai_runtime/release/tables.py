"""The tables that release.toml and the manifest spell alike: identity, pipeline, recipes, gates."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.pipelines import read_pipeline
from edgeai_runtime.release.quality import QUALITIES
from edgeai_runtime.release.recipe import read_recipe
from edgeai_runtime.release.serving import read_serving
from edgeai_runtime.strict import NUMBERS, check_keys, typed, within

DEVICE_CLASSES = ("industrial_pc", "jetson", "raspberry_pi")

# Range of each gate, both ends included; what is named by a quality is a minimum, the others are maxima.
GATES: Dict[str, Tuple[float, float]] = {
    **dict.fromkeys(QUALITIES, (0.0, 1.0)),
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
            device_class: read_recipe(
                typed(recipes, device_class, dict, origin), f"{origin}, [recipes.{device_class}]"
            )
            for device_class in recipes
        },
        "gates": _gates(typed(table, "gates", dict, origin), f"{origin}, [gates]"),
        "serving": read_serving(typed(table, "serving", dict, origin, {}), f"{origin}, [serving]"),
    }


def _gates(table: Mapping[str, Any], origin: str) -> Dict[str, float]:
    check_keys(table, optional=list(GATES), origin=origin)
    of_quality = [gate for gate in table if gate in QUALITIES]
    if len(of_quality) != 1:
        raise InputError(
            f"{origin}: {' and '.join(of_quality) or 'nothing'} says how good answers must be, expected "
            f"exactly one of {', '.join(QUALITIES)}; correct it."
        )
    gates = {}
    for gate in table:
        gates[gate] = float(typed(table, gate, NUMBERS, origin))
        within(gates[gate], *GATES[gate], f"{origin}: '{gate}'")
    return gates
