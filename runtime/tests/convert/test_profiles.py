from __future__ import annotations

import numpy as np
import pytest

from edgeai_runtime.convert.tensorrt.profiles import Profile, profiles, shapes_in
from edgeai_runtime.errors import ConvertError


def test_a_free_first_side_is_the_batch_and_the_others_are_as_long_as_in_samples() -> None:
    seen = {"x": [(1, 3, 48, 320), (1, 3, 48, 100), (1, 3, 48, 200)]}
    assert profiles({"x": (-1, 3, 48, -1)}, (1, 4, 8), seen) == {
        "x": Profile((1, 3, 48, 100), (4, 3, 48, 200), (8, 3, 48, 320))
    }


def test_an_input_of_fixed_shape_needs_no_profile() -> None:
    assert profiles({"x": (1, 3), "n": ()}, (1, 1, 8), {}) == {}


def test_a_sample_that_is_a_larger_batch_widens_the_profile() -> None:
    assert profiles({"x": (-1, 3)}, (1, 2, 4), {"x": [(16, 3)]}) == {"x": Profile((1, 3), (2, 3), (16, 3))}


def test_a_free_side_that_no_sample_tells_of_is_refused() -> None:
    with pytest.raises(ConvertError, match=r"'x' has the shape \[-1, 3, -1\] and no sample .* side 2"):
        profiles({"x": (-1, 3, -1)}, (1, 1, 8), {})


def test_a_sample_of_another_rank_is_refused() -> None:
    with pytest.raises(ConvertError, match=r"a sample has \[3, 5\]"):
        profiles({"x": (1, 3, -1)}, (1, 1, 8), {"x": [(3, 5)]})


def test_shapes_are_those_of_every_sample() -> None:
    samples = [{"x": np.zeros((1, 2)), "n": np.zeros(())}, {"x": np.zeros((1, 5)), "n": np.zeros(())}]
    assert shapes_in(samples) == {"x": [(1, 2), (1, 5)], "n": [(), ()]}
