"""Which ways of converting a model are tried, and in which order.

A recipe of a fixed way has that one, and fp32 beside it to compare. A search begins with the likeliest ways,
and climbs: from the best so far to what differs from it in one thing, until nothing near is better.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Dict, Iterator, Mapping, Sequence, Tuple

from edgeai_runtime.backends.execution import TENSORRT
from edgeai_runtime.convert.choice import leaders
from edgeai_runtime.convert.conversion import MEASURED, Row
from edgeai_runtime.release.recipe import (
    AUTO,
    DYNAMIC,
    EVERY_OPERATOR,
    FP16,
    FP32,
    MOST_EXACT,
    PRUNED,
    STATIC,
    WAYS,
    Recipe,
)

NAMES = {"none": FP32, DYNAMIC: "int8 dynamic", STATIC: "int8 static"}
MOST = 32  # ways of one search
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the weights, pruned


@dataclass(frozen=True)
class Candidate:
    """One way to convert. `used` is False for a candidate that is only measured to compare."""

    name: str
    recipe: Recipe
    used: bool

    def to_json(self) -> Dict[str, Any]:
        """As what the converting process reads."""
        return {"name": self.name, "recipe": asdict(self.recipe), "used": self.used}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        lists = {key: tuple(data["recipe"][key]) for key in ("operators", "ways")}
        return cls(data["name"], Recipe(**{**data["recipe"], **lists}), data["used"])


@dataclass(frozen=True)
class Chances:
    """What decides which ways can bring anything here: `calibrated`, there is a calibration set; `saturates`,
    products of two eight-bit numbers do on this processor; `accelerated`, something else than a processor
    runs models; `tensorrt`, it is there."""

    calibrated: bool
    saturates: bool
    accelerated: bool
    tensorrt: bool


def recipe_name(recipe: Recipe) -> str:
    """A recipe in a few words for people: "int8 static, per channel", "fp32, 30 % pruned"."""
    if recipe.strategy == AUTO:
        return f"what is {recipe.objective.replace('_', ' ')} here"
    words = [recipe.precision if recipe.quantize == "none" else NAMES[recipe.quantize]]
    if recipe.engine == TENSORRT:
        words = [f"TensorRT {'int8' if recipe.quantize == STATIC else recipe.precision}"]
    if recipe.operators == EVERY_OPERATOR:
        words[0] += " of every operator"
    elif recipe.operators:
        words[0] += f" of {' and '.join(recipe.operators)}"
    words += ["per channel"] if recipe.per_channel else []
    words += ["full range"] if recipe.full_range else []
    words += ["int8 activations"] if recipe.activations == "int8" else []
    words += [f"by {recipe.calibrate}"] if recipe.calibrate != Recipe.calibrate else []
    words += [f"{_percent(recipe.keep_fp32)} of the layers in fp32"] if recipe.keep_fp32 else []
    if recipe.prune:
        words.append(f"{_percent(recipe.prune)} pruned{' over all' if recipe.prune_over == 'model' else ''}")
    return ", ".join(words)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def fixed(recipe: Recipe) -> Tuple[Candidate, ...]:
    """fp32 to compare, and what the recipe demands."""
    demanded = Candidate(recipe_name(recipe), recipe, used=True)
    if demanded.name == FP32:
        return (demanded,)
    return (Candidate(FP32, Recipe(threads=recipe.threads), used=False), demanded)


def more(
    recipe: Recipe, plan: Sequence[Candidate], rows: Sequence[Row], needed: float, chances: Chances
) -> Tuple[Candidate, ...]:
    """What a search tries next, when it has measured its plan so far; nothing when it is at its end."""
    ways = recipe.ways or tuple(way for way in WAYS if way != PRUNED)
    start = Recipe(engine=recipe.engine, threads=recipe.threads)
    if not plan:
        likely = list(_likely(start, ways, chances))
        return (_candidate(start, used=FP32 in ways), *map(_candidate, likely))
    tried = {candidate.recipe for candidate in plan}
    new: Dict[Recipe, None] = {}  # in order, each once
    for way, row in _tops(recipe, plan, rows, needed):
        wishes = _wishes(row, rows[0], recipe.objective, needed)
        new.update(dict.fromkeys(near for near in _near(way, wishes, ways, chances) if near not in tried))
    return tuple(map(_candidate, list(new)[: MOST - len(plan)]))


def _candidate(recipe: Recipe, used: bool = True) -> Candidate:
    return Candidate(recipe_name(recipe), recipe, used)


def _likely(start: Recipe, ways: Sequence[str], chances: Chances) -> Iterator[Recipe]:
    """The likeliest first."""
    if FP16 in ways and chances.accelerated:
        yield replace(start, precision=FP16)
    if TENSORRT in ways and chances.tensorrt:
        yield replace(start, engine=TENSORRT, precision=FP16)
        if chances.calibrated:
            yield replace(start, engine=TENSORRT, quantize=STATIC)
        yield replace(start, engine=TENSORRT)
    if STATIC in ways and chances.calibrated:
        yield replace(start, quantize=STATIC, per_channel=True)
        yield replace(start, quantize=STATIC)
    if DYNAMIC in ways:
        yield replace(start, quantize=DYNAMIC)
    if PRUNED in ways:
        yield replace(start, prune=_SHARES[0])


def _tops(
    recipe: Recipe, plan: Sequence[Candidate], rows: Sequence[Row], needed: float
) -> Iterator[Tuple[Recipe, Row]]:
    """From where it is climbed: the best so far, and the best that is quantized statically, which has the
    most ways to become better."""
    recipes = {candidate.name: candidate.recipe for candidate in plan}
    measured = [row for row in rows if row.verdict == MEASURED]
    static = [row for row in measured if _is_static(recipes[row.candidate])]
    for able in (measured, static):
        first = (
            leaders(able, recipe.objective, needed)[:1]
            or sorted(able, key=lambda row: -(row.quality or 0))[:1]
        )
        for row in first:
            yield recipes[row.candidate], row


def _is_static(recipe: Recipe) -> bool:
    """By us; what TensorRT does in eight bits it tunes by itself."""
    return recipe.quantize == STATIC and recipe.engine != TENSORRT


def _wishes(row: Row, source: Row, objective: str, needed: float) -> Tuple[bool, bool]:
    """Whether it might be more exact, and whether less exact."""
    quality = row.quality or 0.0
    return quality < (source.quality or 1.0), quality >= needed and objective != MOST_EXACT


def _near(
    recipe: Recipe, wishes: Tuple[bool, bool], ways: Sequence[str], chances: Chances
) -> Iterator[Recipe]:
    """What differs in one thing, and may be more exact, or less exact and quicker or smaller."""
    more_exact, less_exact = wishes
    if _is_static(recipe) and more_exact:
        yield replace(recipe, per_channel=True)
        if chances.saturates:
            yield replace(recipe, full_range=True)
        yield replace(recipe, keep_fp32=0.1 if not recipe.keep_fp32 else 0.25)
        yield replace(recipe, calibrate="percentile")
        yield replace(recipe, calibrate="entropy")
        yield replace(recipe, operators=("Conv",))
    if _is_static(recipe) and less_exact:
        yield replace(recipe, activations="int8")
        yield replace(recipe, operators=EVERY_OPERATOR)
    if recipe.quantize == DYNAMIC and less_exact:
        yield replace(recipe, operators=("Conv", "Gemm", "MatMul"))
    if PRUNED in ways and less_exact and recipe.engine != TENSORRT:
        for share in [share for share in _SHARES if share > recipe.prune][:1]:
            yield replace(recipe, prune=share)
        if recipe.prune:
            yield replace(recipe, prune_over="model")
