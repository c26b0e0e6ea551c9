"""Where the pixels of an image went on their way to the model, and how boxes come back from there."""

from __future__ import annotations

from typing import Any, NamedTuple, Tuple

import numpy as np

Size = Tuple[int, int]
Pair = Tuple[float, float]


class Geometry(NamedTuple):
    """A point x of the source image lies at x * scale + offset; every pair is (along x, along y).

    `source` and `size` are the image's width and height in pixels, at first and now. Coordinates count
    from the left and upper edge of a pixel, as Pillow's resampling does.
    """

    source: Size
    size: Size
    scale: Pair = (1.0, 1.0)
    offset: Pair = (0.0, 0.0)

    def resized(self, size: Size) -> Geometry:
        """After stretching or squeezing to `size`."""
        factors = (size[0] / self.size[0], size[1] / self.size[1])
        return self._replace(
            size=size,
            scale=(self.scale[0] * factors[0], self.scale[1] * factors[1]),
            offset=(self.offset[0] * factors[0], self.offset[1] * factors[1]),
        )

    def moved(self, right: int, down: int, size: Size) -> Geometry:
        """After moving it by whole pixels on a canvas of `size`."""
        return self._replace(size=size, offset=(self.offset[0] + right, self.offset[1] + down))

    def to_source(self, boxes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Boxes [n, 4] (x1, y1, x2, y2) in the model's pixels to the source image's, cut at its edges."""
        found = (boxes - np.asarray(self.offset * 2)) / np.asarray(self.scale * 2)
        cut: np.ndarray[Any, Any] = found.clip(0, np.asarray(self.source * 2)).astype(np.float32)
        return cut
