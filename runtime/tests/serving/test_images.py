from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeai_runtime.errors import InputError
from edgeai_runtime.serving import images
from edgeai_runtime.serving.blank import grey_png


def encoded(array: Any, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "1"])
def test_every_png_becomes_rgb(mode: str) -> None:
    image = images.decode(encoded(Image.new("RGB", (5, 4), (255, 255, 255)).convert(mode)))
    assert (image.mode, image.size) == ("RGB", (5, 4))
    assert np.asarray(image).min() == 255


def test_grey_of_16_bits_keeps_its_upper_8() -> None:
    array = np.asarray([[0, 0x80FF, 0xFFFF]], np.uint16)
    assert np.asarray(images.decode(encoded(array)))[0, :, 0].tolist() == [0, 0x80, 0xFF]


def test_jpeg_in_any_colour_space_becomes_rgb() -> None:
    for mode in ("L", "RGB", "CMYK"):
        assert images.decode(encoded(Image.new(mode, (8, 8)), "JPEG")).mode == "RGB"


@pytest.mark.parametrize("data", [b"", b"hello", encoded(np.zeros((2, 2), np.uint8), "GIF")])
def test_what_is_no_png_or_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="no PNG or JPEG"):
        images.decode(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_broken_image_is_refused_wherever_it_breaks(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    whole = encoded(noise, kind)
    for length in range(0, len(whole) - 64, 97):
        with pytest.raises(InputError):
            images.decode(whole[:length])
    damaged = bytearray(whole)
    for at in range(8, 60):
        damaged[at] ^= 0xFF
    with pytest.raises(InputError):
        images.decode(bytes(damaged))


def test_a_huge_image_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 8000, 5001, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(InputError, match="8000 x 5001 pixels, more than 40 megapixels"):
        images.decode(data)


def test_normalize_is_its_formula() -> None:
    image = Image.new("RGB", (2, 1), (0, 128, 255))
    array = images.normalize(image, mean=[0.5, 0.4, 0.3], std=[0.5, 0.25, 0.1])
    assert array.dtype == np.float32
    assert array.shape == (1, 2, 3)
    np.testing.assert_allclose(array[0, 0], [-1, (128 / 255 - 0.4) / 0.25, (1 - 0.3) / 0.1], rtol=1e-6)


def test_layout_orders_colours_and_axes() -> None:
    array = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    bgr = images.layout(array, color="BGR", order="NCHW")
    assert bgr.shape == (1, 3, 2, 4)
    assert bgr.flags.c_contiguous
    np.testing.assert_array_equal(bgr[0, 0], array[:, :, 2])
    np.testing.assert_array_equal(images.layout(array, color="RGB", order="NHWC")[0], array)


def test_the_blank_image_is_an_image() -> None:
    image = images.decode(grey_png(7, 3))
    assert image.size == (7, 3)
    assert set(np.asarray(image).reshape(-1).tolist()) == {0x80}
