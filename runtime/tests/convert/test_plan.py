"""A search begins with the likeliest ways, and climbs from the best to what is near it."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, List, Sequence

import pytest

from edgeai_runtime.convert.conversion import Row
from edgeai_runtime.convert.plan import MOST, Candidate, Chances, fixed, more
from edgeai_runtime.release import Recipe

SEARCH = Recipe(strategy="auto", threads=1)
PLAIN = Chances(calibrated=True, saturates=False, accelerated=False, tensorrt=False)


def measured(candidate: Candidate, quality: float = 1.0, p50_ms: float = 10.0) -> Row:
    verdict = "measured" if candidate.used else "compared"
    return Row(candidate.name, quality, p50_ms, p50_ms, 6, 100, verdict, "", packed=100)


def searched(
    judge: Callable[[Candidate], Row], recipe: Recipe = SEARCH, chances: Chances = PLAIN, needed: float = 0.9
) -> List[Candidate]:
    """What is tried, in order, when each is measured as `judge` says."""
    plan: List[Candidate] = []
    while True:
        new = more(recipe, plan, [judge(candidate) for candidate in plan], needed, chances)
        if not new:
            return plan
        plan += new


def names(plan: Sequence[Candidate]) -> List[str]:
    return [candidate.name for candidate in plan]


def test_it_begins_with_fp32_and_the_likeliest() -> None:
    first = more(SEARCH, [], [], 0.9, PLAIN)
    assert names(first) == ["fp32", "int8 static, per channel", "int8 static", "int8 dynamic"]


def test_what_needs_calibration_is_not_tried_without_it() -> None:
    tried = searched(measured, chances=replace(PLAIN, calibrated=False))
    assert {one.recipe.quantize for one in tried} == {"none", "dynamic"}


def test_half_precision_is_tried_where_something_else_than_a_processor_runs_models() -> None:
    assert "fp16" not in names(searched(measured))
    assert names(searched(measured, chances=replace(PLAIN, accelerated=True)))[1] == "fp16"


def test_engines_are_tried_where_tensorrt_is() -> None:
    assert not any("TensorRT" in name for name in names(searched(measured)))
    tried = searched(measured, chances=replace(PLAIN, tensorrt=True))
    engines = [one for one in tried if one.recipe.engine == "tensorrt"]
    assert names(engines) == ["TensorRT fp16", "TensorRT int8", "TensorRT fp32"]
    assert not any(
        one.recipe.engine == "tensorrt"
        for one in searched(measured, replace(SEARCH, ways=("static",)), replace(PLAIN, tensorrt=True))
    )


def test_what_is_as_exact_as_the_source_is_not_made_more_exact() -> None:
    assert not any(one.recipe.keep_fp32 or one.recipe.calibrate != "minmax" for one in searched(measured))


def test_what_lost_quality_is_tried_in_more_exact_ways() -> None:
    tried = names(searched(lambda one: measured(one, 0.5 if one.recipe.quantize == "static" else 1.0, 5.0)))
    assert {
        "int8 static, per channel, 10 % of the layers in fp32",
        "int8 static, per channel, by percentile",
        "int8 static, per channel, by entropy",
    } <= set(tried)
    assert not any("int8 activations" in name for name in tried), "it does not pass, and would be less exact"


def test_it_climbs_from_what_was_found_better() -> None:
    """Keeping layers helps, and keeping more helps more."""

    def judge(one: Candidate) -> Row:
        return measured(one, 0.5 + one.recipe.keep_fp32 if one.recipe.quantize == "static" else 1.0, 5.0)

    tried = names(searched(judge))
    first, second = (f"int8 static, per channel, {share} % of the layers in fp32" for share in ("10", "25"))
    assert tried.index(first) < tried.index(second)


def test_full_range_is_tried_where_weights_had_to_keep_to_seven_bits() -> None:
    def judge(one: Candidate) -> Row:
        return measured(one, 0.5 if one.recipe.quantize == "static" else 1.0, 5.0)

    assert not any(one.recipe.full_range for one in searched(judge))
    assert any(one.recipe.full_range for one in searched(judge, chances=replace(PLAIN, saturates=True)))


@pytest.mark.parametrize("way", ["static", "dynamic", "pruned"])
def test_a_recipe_may_demand_a_way(way: str) -> None:
    tried = searched(measured, replace(SEARCH, ways=(way,)))
    assert (tried[0].name, tried[0].used) == ("fp32", False)
    assert len(tried) > 1
    for one in tried[1:]:
        assert (one.recipe.quantize == way) or (way == "pruned" and one.recipe.prune)


def test_pruning_goes_on_while_it_passes_and_is_tried_on_demand_alone() -> None:
    def judge(one: Candidate) -> Row:
        row = measured(one, 1.0 - one.recipe.prune / 2)
        return replace(row, packed=int(1000 * (1 - one.recipe.prune)))

    smallest = replace(SEARCH, objective="smallest")
    assert not any(one.recipe.prune for one in searched(judge, smallest))
    tried = searched(judge, replace(smallest, ways=("fp32", "pruned")), needed=0.84)
    shares = sorted({one.recipe.prune for one in tried})
    assert shares == [0.0, 0.1, 0.2, 0.3, 0.4], "0.4 fails the gate, so that nothing beyond it is tried"


def test_nothing_is_tried_twice_nor_for_ever() -> None:
    """The one tried last is the best each time."""
    count = iter(range(10_000, 0, -1))
    times = {}

    def judge(one: Candidate) -> Row:
        return measured(
            one, 0.95 if one.used and one.name != "fp32" else 1.0, times.setdefault(one, next(count))
        )

    everything = replace(SEARCH, ways=("fp32", "static", "dynamic", "pruned"))
    tried = searched(judge, everything, replace(PLAIN, saturates=True))
    assert len(tried) == len(set(names(tried))) == len({one.recipe for one in tried})
    assert len(tried) <= MOST


def test_a_fixed_recipe_is_compared_with_fp32() -> None:
    recipe = Recipe(quantize="static", calibrate="entropy", keep_fp32=0.1)
    plan = fixed(recipe)
    assert [(one.name, one.used) for one in plan] == [
        ("fp32", False),
        ("int8 static, by entropy, 10 % of the layers in fp32", True),
    ]
    assert [one.name for one in fixed(Recipe())] == ["fp32"]
    engine = fixed(Recipe(engine="tensorrt", precision="fp16"))
    assert [(one.name, one.recipe.engine, one.used) for one in engine] == [
        ("fp32", "onnxruntime", False),
        ("TensorRT fp16", "tensorrt", True),
    ]
