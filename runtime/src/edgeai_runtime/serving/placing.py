"""The operations of a pipeline's `pre` list that change where a pixel lies: each keeps the geometry true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.serving.geometry import Geometry, Size

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE = 8192

Placed = Tuple["Image", Geometry]


def resize(
    image: Image,
    geometry: Geometry,
    height: int,
    width: Optional[int] = None,
    fit: str = "stretch",
    min_width: int = 1,
    max_width: int = MAX_SIDE,
) -> Placed:
    """Bilinear, to `height` and `width` pixels: as they are (`fit` stretch), or with the aspect ratio
    kept, as large as fits within them (contain) or as small as covers them (cover).

    Without `width` the aspect ratio is kept: the new width is old width x height / old height, brought
    into [min_width, max_width]. Only then is the image stretched or squeezed to that width; nothing is
    ever cut off or padded. A side that follows is rounded to the nearest pixel, halves up, at least 1.
    Raises InputError when covering takes a side of more than 8192 pixels.
    """
    from PIL import Image

    if width is None:
        width = max(1, min_width, min(_follow(image.width, height, image.height), max_width))
    elif fit != "stretch":
        wide = image.width * height >= width * image.height
        if wide == (fit == "contain"):
            height = _follow(image.height, width, image.width)
        else:
            width = _follow(image.width, height, image.height)
        if max(width, height) > MAX_SIDE:
            raise InputError(
                f"The image has {image.width} x {image.height} pixels and would grow to {width} x {height}, "
                f"at most {MAX_SIDE} a side are allowed; send one that is less long and narrow."
            )
    return image.resize((width, height), Image.Resampling.BILINEAR), geometry.resized((width, height))


def pad(
    image: Image,
    geometry: Geometry,
    width: int = 1,
    height: int = 1,
    multiple: Optional[int] = None,
    value: int = 0,
    position: str = "center",
) -> Placed:
    """A canvas of `width` x `height`, or of the next whole `multiple` of both sides, filled with `value`.

    The image lies in its centre (an odd pixel goes right and below) or at its top_left.
    Raises InputError when the image is larger than the canvas.
    """
    from PIL import Image

    if multiple is not None:
        width, height = (-(-side // multiple) * multiple for side in image.size)
    if image.width > width or image.height > height:
        raise _does_not_fit(image.size, f"'pad' has room for {width} x {height}")
    right, down = (
        ((width - image.width) // 2, (height - image.height) // 2) if position == "center" else (0, 0)
    )
    canvas = Image.new("RGB", (width, height), (value, value, value))
    canvas.paste(image, (right, down))
    return canvas, geometry.moved(right, down, (width, height))


def crop(
    image: Image,
    geometry: Geometry,
    width: int,
    height: int,
    left: Optional[int] = None,
    top: Optional[int] = None,
) -> Placed:
    """The box of `width` x `height` at `left`, `top`, or in the centre (an odd pixel stays right and below).

    Raises InputError when the box does not lie within the image.
    """
    if left is None or top is None:
        left, top = (image.width - width) // 2, (image.height - height) // 2
    if not (0 <= left <= image.width - width and 0 <= top <= image.height - height):
        where = f"'crop' takes {width} x {height}" + (
            f" from {left}, {top} on" if min(left, top) >= 0 else ""
        )
        raise _does_not_fit(image.size, where)
    cut = image.crop((left, top, left + width, top + height))
    return cut, geometry.moved(-left, -top, (width, height))


def _follow(side: int, other_new: int, other_old: int) -> int:
    # In whole numbers, so that every platform rounds alike.
    return max(1, (2 * side * other_new + other_old) // (2 * other_old))


def _does_not_fit(size: Size, wanted: str) -> InputError:
    return InputError(
        f"The image has {size[0]} x {size[1]} pixels where {wanted}; send one of another size, "
        "or put 'resize' before it in the release's pipeline."
    )
