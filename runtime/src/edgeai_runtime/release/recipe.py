"""How a device class converts a model: one fixed way, or a search among several on the device."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Dict, Mapping, Tuple

from edgeai_runtime.backends.execution import MODEL_FILES, ONNXRUNTIME, TENSORRT
from edgeai_runtime.errors import InputError
from edgeai_runtime.strict import NUMBERS, check_keys, choice, typed, within

FIXED, AUTO = "fixed", "auto"
FASTEST, SMALLEST, MOST_EXACT = "fastest", "smallest", "most_exact"
FP32, FP16, STATIC, DYNAMIC, PRUNED = "fp32", "fp16", "static", "dynamic", "pruned"
WAYS = (FP32, FP16, STATIC, DYNAMIC, TENSORRT, PRUNED)
EVERY_OPERATOR = ("all",)
ENGINES = tuple(MODEL_FILES)

QUANTIZERS = ("none", DYNAMIC, STATIC)
_SEARCHED = ("objective", "budget_s", "ways")
# What each word of `quantize` has no use for.
_USELESS = {
    "none": ("full_range", "activations", "calibrate", "keep_fp32"),
    DYNAMIC: ("precision", "activations", "calibrate", "keep_fp32"),
    STATIC: ("precision",),
}
_NOT_TENSORRTS = ("operators", "per_channel", "full_range", "activations", "calibrate", "keep_fp32")


@dataclass(frozen=True)
class Recipe:
    """How a device class converts the model; all but `engine` and `quantize` have a default.

    `precision`: FP32 or FP16, of what is not quantized.
    `operators`: ONNX operator types to quantize, EVERY_OPERATOR, or none for those with weights;
    `per_channel`: a scale for each channel of a weight; `full_range`: eight bits for weights also where
    products of eight bits saturate; `activations`: "uint8" or "int8"; `calibrate`: how their ranges are
    found, "minmax", "percentile" or "entropy"; `keep_fp32`: share of the layers, those that quantizing harms
    most, that is left as it is.
    `prune`: share of weights set to zero, 0 to below 1, the smallest of each "layer" or of the whole "model".
    `threads`: of one inference, 0 for as many as make it faster by far.
    With the `strategy` AUTO the device tries several `ways` (of WAYS; none: all that may serve), within
    `budget_s`, and takes the one that serves the `objective` best of those that pass the gate; the rest is
    left to it.
    """

    engine: str = ONNXRUNTIME
    quantize: str = "none"
    precision: str = FP32
    operators: Tuple[str, ...] = ()
    per_channel: bool = False
    full_range: bool = False
    activations: str = "uint8"
    calibrate: str = "minmax"
    keep_fp32: float = 0.0
    prune: float = 0.0
    prune_over: str = "layer"
    threads: int = 0
    strategy: str = FIXED
    objective: str = FASTEST
    budget_s: float = 240.0
    ways: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """Without what this strategy has no use for. Keys that came later are there where they say something:
        older manifests are as they were."""
        told = dict(vars(self))
        of_a_way = ("quantize", "operators", "per_channel", "prune")
        for key in of_a_way if self.strategy == AUTO else ("strategy", "objective", "budget_s"):
            del told[key]
        for field in fields(self):
            if field.name in _LATER and told[field.name] == field.default:
                del told[field.name]
        return told


_LATER = ("threads", "precision", "full_range", "activations", "calibrate", "keep_fp32", "prune_over", "ways")


def read_recipe(table: Mapping[str, Any], origin: str) -> Recipe:
    """A recipe as release.toml and the manifest spell it. Raises InputError."""
    if choice(table, "strategy", (FIXED, AUTO), origin, FIXED) == AUTO:
        return _search(table, origin)
    table = {key: value for key, value in table.items() if key != "strategy"}
    optional = [field.name for field in fields(Recipe) if field.name not in ("strategy", *_SEARCHED)]
    check_keys(table, ["engine", "quantize"], optional, origin=origin)
    quantize = choice(table, "quantize", QUANTIZERS, origin)
    for key in _USELESS[quantize]:
        if key in table:
            raise InputError(f"{origin}: '{key}' says nothing with quantize = \"{quantize}\"; remove it.")
    engine = choice(table, "engine", ENGINES, origin)
    if engine == TENSORRT:
        said = [key for key in _NOT_TENSORRTS if table.get(key)] + ["quantize"] * (quantize == DYNAMIC)
        if said:
            raise InputError(
                f"{origin}: '{said[0]}' = {table[said[0]]!r} says nothing to TensorRT, which quantizes by "
                'itself; remove it, or take the engine "onnxruntime".'
            )
    recipe = Recipe(
        engine=engine,
        quantize=quantize,
        precision=choice(table, "precision", (FP32, FP16), origin, FP32),
        operators=_words(table, "operators", origin, 'names such as "Conv"'),
        per_channel=typed(table, "per_channel", bool, origin, False),
        full_range=typed(table, "full_range", bool, origin, False),
        activations=choice(table, "activations", ("uint8", "int8"), origin, Recipe.activations),
        calibrate=choice(table, "calibrate", ("minmax", "percentile", "entropy"), origin, Recipe.calibrate),
        keep_fp32=_share(table, "keep_fp32", origin),
        prune=_share(table, "prune", origin),
        prune_over=choice(table, "prune_over", ("layer", "model"), origin, Recipe.prune_over),
        threads=typed(table, "threads", int, origin, 0),
    )
    within(recipe.threads, 0, 256, f"{origin}: 'threads'")
    return recipe


def _search(table: Mapping[str, Any], origin: str) -> Recipe:
    check_keys(table, ["engine", "strategy"], [*_SEARCHED, "threads"], origin=origin)
    ways = _words(table, "ways", origin, f"some of {', '.join(WAYS)}")
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        raise InputError(
            f"{origin}: 'ways' names {', '.join(unknown)}, expected some of {', '.join(WAYS)}; correct it."
        )
    recipe = Recipe(
        engine=choice(table, "engine", (ONNXRUNTIME,), origin),
        threads=typed(table, "threads", int, origin, 0),
        strategy=AUTO,
        objective=choice(table, "objective", (FASTEST, SMALLEST, MOST_EXACT), origin, FASTEST),
        budget_s=float(typed(table, "budget_s", NUMBERS, origin, Recipe.budget_s)),
        ways=ways,
    )
    within(recipe.threads, 0, 256, f"{origin}: 'threads'")
    within(recipe.budget_s, 1, 86_400, f"{origin}: 'budget_s'")
    return recipe


def _words(table: Mapping[str, Any], key: str, origin: str, expected: str) -> Tuple[str, ...]:
    words = typed(table, key, list, origin, [])
    if not all(isinstance(word, str) for word in words):
        raise InputError(f"{origin}: '{key}' is {words!r}, expected {expected}; correct it.")
    return tuple(words)


def _share(table: Mapping[str, Any], key: str, origin: str) -> float:
    share = float(typed(table, key, NUMBERS, origin, 0.0))
    if not 0.0 <= share < 1.0:
        raise InputError(f"{origin}: '{key}' is {share}, expected a share from 0 to below 1; correct it.")
    return share
