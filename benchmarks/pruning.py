"""What pruning does to the size that travels and to the answers, as a picture in SVG 1.1."""

from __future__ import annotations

from html import escape
from typing import Any, List, Mapping, Sequence, Tuple

_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 40, 460, 260
_COLOURS = ("#d9480f", "#2b6cb0", "#2f855a", "#805ad5")
_STYLE = """\
text { font: 12px sans-serif; fill: #222 }
.title { font-weight: bold }
.note { fill: #666 }
.grid { stroke: #ddd }
svg { background: #fff }
"""


def pruning_plot(cases: Mapping[str, Mapping[str, Any]], note: str) -> str:
    """Of each case, as bench-convert tells it: the quality of what is pruned (whole lines; filled where it
    passes the gate) and its packed size against that of what is not (dashed), by the share of zeros."""
    height = _TOP + _HEIGHT + 70 + 18 * len(cases)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 40}" height="{height}">']
    parts += [f"<style>{_STYLE}</style>", *_frame()]
    for number, (name, told) in enumerate(cases.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        whole = next(way for way in told["ways"] if way["name"] == "fp32")
        ways = [(0.0, whole), *((float(way["name"].split("%")[0]) / 100, way) for way in told["pruned"])]
        quality = [(share, way["quality"]) for share, way in ways]
        packed = [(share, way["packed_mb"] / whole["packed_mb"]) for share, way in ways]
        parts += [_line(quality, colour, ""), _line(packed, colour, ' stroke-dasharray="5 4"')]
        for share, value in quality:
            fill = colour if value >= told["required"] else "#fff"
            x, y = _place(share, value)
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{fill}" stroke="{colour}"/>')
        top = _TOP + _HEIGHT + 62 + 18 * number
        said = f"{name}: {whole['packed_mb']:g} MB packed, the gate asks for {told['required']:g}"
        parts.append(f'<rect x="{_LEFT}" y="{top - 9}" width="18" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + 26}" y="{top}">{escape(said)}</text>')
    parts.append(f'<text class="note" x="{_LEFT}" y="{height - 8}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _frame() -> List[str]:
    parts = [
        f'<text class="title" x="{_LEFT}" y="16">Quality (whole) and packed size (dashed) when pruned</text>',
        f'<text class="note" x="{_LEFT}" y="{_TOP + _HEIGHT + 38}">weights set to zero, the smallest of each '
        "layer, and not trained again</text>",
    ]
    for step in range(6):
        _x, y = _place(0, step / 5)
        x, _y = _place(step / 10, 0)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{_LEFT + _WIDTH}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{step / 5:.1f}</text>')
        parts.append(f'<text x="{x}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{10 * step} %</text>')
    return parts


def _place(share: float, value: float) -> Tuple[float, float]:
    """Of a share from 0 to 0.5 and a value from 0 to 1."""
    return round(_LEFT + share / 0.5 * _WIDTH, 1), round(_TOP + (1 - value) * _HEIGHT, 1)


def _line(points: Sequence[Tuple[float, float]], colour: str, more: str) -> str:
    placed = " ".join(f"{x},{y}" for x, y in (_place(*point) for point in points))
    return f'<polyline points="{placed}" fill="none" stroke="{colour}" stroke-width="2"{more}/>'
