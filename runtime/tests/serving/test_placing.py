from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import pytest
import toys
from PIL import Image

from edgeai_runtime.errors import InputError
from edgeai_runtime.release import Pipeline
from edgeai_runtime.serving import pipeline, placing
from edgeai_runtime.serving.geometry import Geometry

DECODE = {"op": "decode"}
LAYOUT = {"op": "layout", "color": "RGB", "order": "NHWC"}
CONTAIN = {"op": "resize", "width": 96, "height": 64, "fit": "contain"}
COVER = {"op": "resize", "width": 96, "height": 64, "fit": "cover"}


def resized(size: Tuple[int, int], **parameters: Any) -> Any:
    return placing.resize(Image.new("RGB", size), Geometry(size, size), **parameters)[0]


@pytest.mark.parametrize(
    ("size", "width"),
    [
        ((100, 48), 100),
        ((200, 96), 100),
        ((101, 96), 51),  # 50.5 rounds up
        ((10, 48), 48),  # squeezed up to min_width
        ((5000, 48), 960),  # squeezed down to max_width
        ((1, 5000), 48),
    ],
)
def test_the_width_follows_the_aspect_ratio_within_its_bounds(size: Any, width: int) -> None:
    image = resized(size, height=48, min_width=48, max_width=960)
    assert image.size == (width, 48)


def test_a_given_width_is_taken() -> None:
    assert resized((100, 10), height=48, width=320).size == (320, 48)


def test_a_width_without_bounds_is_bounded_all_the_same() -> None:
    assert resized((40000, 1), height=48).size == (placing.MAX_SIDE, 48)


def test_nothing_is_cut_off_when_an_image_is_squeezed() -> None:
    pixels = np.zeros((8, 400, 3), np.uint8)
    pixels[:, -40:] = 255
    squeezed = np.asarray(
        placing.resize(Image.fromarray(pixels), Geometry((400, 8), (400, 8)), 8, max_width=40)[0]
    )
    assert squeezed[0, 0, 0] == 0
    assert squeezed[0, -1, 0] == 255


@pytest.mark.parametrize(
    ("fit", "size", "becomes"),
    [
        ("contain", (200, 100), (96, 48)),
        ("contain", (100, 200), (32, 64)),
        ("contain", (9, 6), (96, 64)),
        ("contain", (1000, 1), (96, 1)),
        ("cover", (200, 100), (128, 64)),
        ("cover", (100, 200), (96, 192)),
        ("stretch", (100, 200), (96, 64)),
    ],
)
def test_an_image_fills_the_size_as_it_is_told(fit: str, size: Any, becomes: Any) -> None:
    assert resized(size, width=96, height=64, fit=fit).size == becomes


def test_an_image_that_would_grow_out_of_bounds_is_refused() -> None:
    with pytest.raises(InputError, match="40000 x 1 pixels and would grow to 2560000 x 64"):
        resized((40000, 1), width=96, height=64, fit="cover")


@pytest.mark.parametrize(
    ("parameters", "size", "corner"),
    [
        ({"width": 9, "height": 8}, (9, 8), (2, 2)),
        ({"width": 9, "height": 8, "position": "top_left"}, (9, 8), (0, 0)),
        ({"multiple": 4, "position": "top_left"}, (8, 4), (0, 0)),
        ({"multiple": 5}, (5, 5), (0, 0)),
    ],
)
def test_padding_surrounds_the_image_with_its_value(parameters: Any, size: Any, corner: Any) -> None:
    image, geometry = placing.pad(
        Image.new("RGB", (5, 4), (9, 9, 9)), Geometry((5, 4), (5, 4)), value=114, **parameters
    )
    assert image.size == geometry.size == size
    expected = np.full((size[1], size[0], 3), 114)
    expected[corner[1] : corner[1] + 4, corner[0] : corner[0] + 5] = 9
    np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize(("parameters", "first"), [({}, (1, 1)), ({"left": 2, "top": 0}, (2, 0))])
def test_a_crop_is_a_box_of_the_image(parameters: Any, first: Any) -> None:
    pixels = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    image, geometry = placing.crop(Image.fromarray(pixels), Geometry((6, 5), (6, 5)), 3, 2, **parameters)
    left, top = first
    np.testing.assert_array_equal(np.asarray(image), pixels[top : top + 2, left : left + 3])
    assert geometry.offset == (-left, -top)


def test_what_has_no_room_and_what_is_not_there_is_refused() -> None:
    image, geometry = Image.new("RGB", (50, 40)), Geometry((50, 40), (50, 40))
    with pytest.raises(InputError, match="50 x 40 pixels where 'pad' has room for 40 x 40"):
        placing.pad(image, geometry, width=40, height=40)
    with pytest.raises(InputError, match="50 x 40 pixels where 'crop' takes 60 x 20;"):
        placing.crop(image, geometry, 60, 20)
    with pytest.raises(InputError, match="'crop' takes 20 x 20 from 31, 0 on"):
        placing.crop(image, geometry, 20, 20, left=31, top=0)


WAYS: Dict[str, Tuple[Dict[str, Any], ...]] = {
    "letterbox": (CONTAIN, {"op": "pad", "width": 96, "height": 64, "value": 114}),
    "letterbox at the corner": (CONTAIN, {"op": "pad", "width": 96, "height": 64, "position": "top_left"}),
    "next multiple": (CONTAIN, {"op": "pad", "multiple": 32}),
    "centre crop": (COVER, {"op": "crop", "width": 96, "height": 64}),
    "stretched": ({"op": "resize", "width": 96, "height": 64},),
    "region of interest": ({"op": "crop", "width": 40, "height": 40, "left": 7, "top": 3}, CONTAIN),
    "all of it": (
        {"op": "pad", "multiple": 50},
        COVER,
        {"op": "crop", "width": 90, "height": 60},
        {"op": "resize", "height": 80},
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [(64, 48), (48, 64), (301, 200), (97, 311), (50, 50)])
def test_what_the_model_sees_lies_where_the_geometry_says(way: str, size: Tuple[int, int]) -> None:
    """A white box drawn in the source, found in the model's pixels, comes back within one of its pixels."""
    width, height = size
    box = [width * 7 // 16, height * 7 // 16, width * 9 // 16, height * 9 // 16]
    if way == "region of interest":
        box = [15, 12, 35, 33]
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    tensor, geometry = pipeline.prepare(Pipeline((DECODE, *WAYS[way], LAYOUT), ()), toys.png(pixels))
    assert tensor.shape[1:3] == geometry.size[::-1]
    seen = tensor[0, :, :, 0] > 127
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    found = np.asarray([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
    tolerance = max(1.0, *(1 / scale for scale in geometry.scale))
    np.testing.assert_allclose(geometry.to_source(found), [box], atol=tolerance)


@pytest.mark.parametrize("way", WAYS)
def test_the_whole_of_what_the_model_sees_stays_within_the_source(way: str) -> None:
    _tensor, geometry = pipeline.prepare(
        Pipeline((DECODE, *WAYS[way], LAYOUT), ()), toys.png(np.zeros((90, 120, 3), np.uint8))
    )
    ((left, top, right, bottom),) = geometry.to_source(np.asarray([[0, 0, *geometry.size]])).tolist()
    assert 0 <= left < right <= 120
    assert 0 <= top < bottom <= 90
