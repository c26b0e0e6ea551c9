import pytest

from edgeai_runtime.errors import InputError
from edgeai_runtime.strict import check_keys


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(
        InputError, match=r"release\.toml, \[gates\]: unknown key 'exact_mach'; did you mean 'exact_match'"
    ):
        check_keys({"exact_mach": 1}, optional=["exact_match", "p99_ms"], origin="release.toml, [gates]")


def test_an_unknown_key_near_nothing_is_refused_with_all_known_ones() -> None:
    with pytest.raises(InputError, match="known are: a, b"):
        check_keys({"zzz": 1}, optional=["a", "b"], origin="x")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match="x: the key 'a' is missing"):
        check_keys({}, required=["a"], origin="x")
