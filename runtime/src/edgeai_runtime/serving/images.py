"""From a picture's bytes to pixels, and from pixels to a model's input tensor: operations of a `pre` list.

Pillow is imported by the operations that need it: a process that serves tensors only never loads it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np

from edgeai_runtime.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 40_000_000


def decode(data: bytes) -> Image:
    """PNG or JPEG bytes to an RGB image.

    Transparency is dropped, 16-bit grey keeps its upper 8 bits, an EXIF orientation is not applied:
    the pixels are taken as they lie in the file. Raises InputError for anything else, for a broken
    file and for more than 40 megapixels (looked up before a single pixel is decoded).
    """
    from PIL import Image

    # The limit below is lower than Pillow's own, which would only warn.
    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    except Exception:  # noqa: BLE001 - see below
        raise InputError(
            f"The body ({len(data)} bytes) is no PNG or JPEG image; send one of these."
        ) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"The image has {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels; "
            "send a smaller one."
        )
    try:
        if image.mode.startswith("I"):
            return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
        return image.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - decoders meet broken bytes with exceptions of many kinds
        raise InputError(f"The {image.format} image is broken ({error}); send it again.") from None


def normalize(image: Image, mean: Sequence[float], std: Sequence[float]) -> np.ndarray[Any, Any]:
    """(x / 255 - mean) / std for each channel, in the order red, green, blue: float32 [H, W, 3]."""
    array: np.ndarray[Any, Any] = np.array(image, dtype=np.float32)
    # In place: a large image exists once. By whole rows: a last axis of three takes six times as long.
    rows = array.reshape(image.height, -1)
    rows /= np.float32(255)
    rows -= np.tile(np.asarray(mean, dtype=np.float32), image.width)
    rows /= np.tile(np.asarray(std, dtype=np.float32), image.width)
    return array


def layout(image: Any, color: str, order: str) -> np.ndarray[Any, Any]:
    """[H, W, 3] (float32 after `normalize`, else uint8) to a batch of one: [1, 3, H, W] or [1, H, W, 3].

    `color`: RGB or BGR, `order`: NCHW or NHWC. The tensor is contiguous.
    """
    array: np.ndarray[Any, Any] = np.asarray(image)
    if color == "BGR":
        array = array[:, :, ::-1]
    if order == "NCHW":
        array = array.transpose(2, 0, 1)
    tensor: np.ndarray[Any, Any] = np.ascontiguousarray(array[np.newaxis])
    return tensor
