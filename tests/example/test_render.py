"""Labels are the same for the same seed, and as wide as their kind promises."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from render import ORDINARY, TRYING, Label, label, labels, lens_cap

NARROW = re.compile(r"SN-[2-9A-HJ-NPR-TV-Z]{8}|LOT\d{7}|2026-\d\d-\d\d")
WIDE = re.compile(r"LOT 2026-\d\d-\d\d SN-[2-9A-HJ-NPR-TV-Z]{8} [A-Z]\d")


def scaled_width(png: bytes) -> int:
    width, height = Image.open(io.BytesIO(png)).size
    return round(width * 48 / height)


def test_a_seed_says_what_the_label_looks_like_to_the_last_byte() -> None:
    assert label("a") == label("a")
    assert label("a").png != label("b").png
    assert label("a").text == label("a", conditions=ORDINARY).text
    assert label("a").png != label("a", conditions=ORDINARY).png


@pytest.mark.parametrize("conditions", [TRYING, ORDINARY])
def test_narrow_labels_fit_320_pixels_and_wide_ones_do_not(conditions: object) -> None:
    for one in labels("widths", 120, wide_every=2, conditions=conditions):  # type: ignore[arg-type]
        width = scaled_width(one.png)
        assert 320 < width < 900 if one.wide else 48 <= width <= 320, one.text
        assert (WIDE if one.wide else NARROW).fullmatch(one.text)


def test_all_three_kinds_of_narrow_label_occur() -> None:
    assert {text.text[:3] for text in labels("kinds", 40)} == {"SN-", "LOT", "202"}


def test_every_nth_label_is_wide_and_the_others_stay_as_they_were() -> None:
    mixed, narrow = labels("mixed", 12, wide_every=4), labels("mixed", 12)
    assert [i for i, one in enumerate(mixed) if one.wide] == [3, 7, 11]
    assert all(a == b for a, b in zip(mixed, narrow) if not a.wide)


def test_labels_are_small_files_in_shades_of_grey() -> None:
    sizes = [len(one.png) for one in labels("size", 20, wide_every=4)]
    assert max(sizes) < 40_000
    assert Image.open(io.BytesIO(label("size").png)).mode == "L"


def test_with_the_lens_cap_on_everything_is_black() -> None:
    pictures = [lens_cap(f"cap/{i}") for i in range(4)]
    assert len(set(pictures)) == 4
    assert all(Image.open(io.BytesIO(png)).getextrema()[1] <= 2 for png in pictures)


def test_no_two_labels_of_a_stock_are_the_same_picture() -> None:
    stock: list[Label] = labels("stock", 48, wide_every=4)
    assert len({one.png for one in stock}) == len(stock)
