"""Renders photographs of labels as a line camera would take them, from a seed alone.

Four kinds of text: a serial number (`SN-8J2K4M71`), a lot (`LOT4930251`), a date
(`2026-11-23`), and a *wide* label that carries all of them. A serial number is made
of characters that are hard to take for one another: I, O, Q, U, 0 and 1 are left out, as
people who design serial numbers do.

Everything is drawn by Pillow with the font that Pillow itself carries, so that a
machine without fonts renders the same bytes for the same seed and Pillow release.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter, ImageFont

LETTERS = "ABCDEFGHJKLMNPRSTVWXYZ"
DIGITS = "0123456789"
PLAIN = LETTERS + DIGITS[2:]
PAPER = 235  # grey value of the label, 0 is black


@dataclass(frozen=True)
class Conditions:
    """How bad a photograph may be: the bounds that each one is drawn from."""

    tilt: float  # degrees, either way
    blur: float  # largest radius of the Gaussian blur, pixels of a letter 36 high
    grain: float  # share of the picture that is noise, 0..1
    faintest: int  # grey value of the palest ink


TRYING = Conditions(tilt=4.0, blur=1.7, grain=0.20, faintest=100)
"""Hard light and a loose mount: what a release is measured with."""

ORDINARY = Conditions(tilt=2.0, blur=1.0, grain=0.10, faintest=70)
"""A line that runs as it should: what a client sends all day."""


@dataclass(frozen=True)
class Label:
    """One photograph and what stands on it."""

    text: str
    png: bytes
    wide: bool


def serial(rng: random.Random) -> str:
    return "SN-" + "".join(rng.choice(PLAIN) for _turn in range(8))


def lot(rng: random.Random) -> str:
    return "LOT" + "".join(rng.choice(DIGITS) for _turn in range(7))


def date(rng: random.Random) -> str:
    return f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def wide(rng: random.Random) -> str:
    return f"LOT {date(rng)} {serial(rng)} {rng.choice(LETTERS)}{rng.choice(DIGITS[2:])}"


def label(seed: str, *, is_wide: bool = False, conditions: Conditions = TRYING) -> Label:
    """The label of this seed. Scaled to a height of 48 pixels a wide one is more than 320
    and less than 900 pixels wide, any other one at most 320."""
    rng = random.Random(seed)  # noqa: S311 - repeatable is what is wanted
    text = wide(rng) if is_wide else rng.choice((serial, serial, lot, date))(rng)
    return Label(text, _png(_photograph(text, rng, conditions)), is_wide)


def labels(seed: str, count: int, *, wide_every: int = 0, conditions: Conditions = TRYING) -> list[Label]:
    """`count` labels; every `wide_every`th of them is wide (0: none)."""
    wide_ones = range(wide_every - 1, count, wide_every) if wide_every else ()
    return [label(f"{seed}/{i}", is_wide=i in wide_ones, conditions=conditions) for i in range(count)]


def both_ways(seed: str, count: int) -> list[Label]:
    """`count` labels as they were photographed and turned by half; their text is "0" or "180"."""
    pictures = []
    for upright in labels(seed, count):
        turned = _png(Image.open(io.BytesIO(upright.png)).transpose(Image.Transpose.ROTATE_180))
        pictures += [Label("0", upright.png, upright.wide), Label("180", turned, upright.wide)]
    return pictures


def lens_cap(seed: str) -> bytes:
    """A PNG as the camera takes it with the lens cap on: black, but for the sensor's own noise."""
    rng = random.Random(seed)  # noqa: S311 - repeatable is what is wanted
    size = (rng.randint(260, 320), 48)
    return _png(Image.frombytes("L", size, bytes(v % 3 for v in _random_bytes(rng, size[0] * size[1]))))


def _photograph(text: str, rng: random.Random, conditions: Conditions) -> Image.Image:
    font = ImageFont.load_default(36)
    _left, _top, right, bottom = font.getbbox(text)
    image = Image.new("L", (round(right) + 24, round(bottom) + 20), PAPER)
    ink = rng.randint(20, conditions.faintest)
    ImageDraw.Draw(image).text((12, 8), text, font=font, fill=ink)
    # A long label cannot lie as crooked as a short one under the same rail.
    tilt = rng.uniform(-1, 1) * conditions.tilt * min(1.0, 320 / image.width)
    image = image.rotate(tilt, resample=Image.Resampling.BICUBIC, fillcolor=PAPER)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, conditions.blur)))
    noise = Image.frombytes("L", image.size, _random_bytes(rng, image.width * image.height))
    return Image.blend(image, noise, conditions.grain)


def _random_bytes(rng: random.Random, count: int) -> bytes:
    return rng.getrandbits(8 * count).to_bytes(count, "little")


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
