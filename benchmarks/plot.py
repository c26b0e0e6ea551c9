"""The figures as bars, a panel each, in SVG 1.1 that needs no script and no font of its own."""

from __future__ import annotations

from html import escape
from typing import List, Sequence

from benchmarks.figures import OURS, Figure, Results, said
from benchmarks.peers.base import Peer

_COLUMNS = 3
_PANEL = 400
_LABEL = 130  # the peer's name, left of its bar
_BAR = 170  # the longest
_LINE = 18
_STYLE = """\
text { font: 12px sans-serif; fill: #222 }
.title { font-weight: bold }
.bar { fill: #9fb3c8 }
.ours { fill: #d9480f }
.note { fill: #666 }
svg { background: #fff }
"""


def plot(figures: Sequence[Figure], peers: Sequence[Peer], results: Results, note: str) -> str:
    """The whole picture; `note` stands below."""
    height = (len(peers) + 3) * _LINE
    rows = -(-len(figures) // _COLUMNS)
    width, whole = _COLUMNS * _PANEL + 20, rows * height + 50
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{whole}">']
    parts.append(f"<style>{_STYLE}</style>")
    for number, figure in enumerate(figures):
        row, column = divmod(number, _COLUMNS)
        parts.append(f'<g transform="translate({20 + column * _PANEL} {20 + row * height})">')
        parts += _panel(figure, peers, results)
        parts.append("</g>")
    parts.append(f'<text class="note" x="20" y="{whole - 12}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(figure: Figure, peers: Sequence[Peer], results: Results) -> List[str]:
    better = "more" if figure.more_is_better else "less"
    parts = [f'<text class="title" y="12">{escape(figure.title)}</text>']
    parts.append(f'<text class="note" y="{_LINE + 10}">{escape(figure.unit)}, {better} is better</text>')
    taken = {peer.title: results.median(peer.name, figure) for peer in peers}
    known = {title: value for title, value in taken.items() if value is not None}
    longest = max(known.values(), default=0) or 1
    for line, (title, value) in enumerate(known.items(), 2):
        top, length = line * _LINE, max(1, round(_BAR * value / longest))
        kind = "bar ours" if title == OURS else "bar"
        parts.append(f'<text x="{_LABEL - 8}" y="{top + 12}" text-anchor="end">{escape(title)}</text>')
        parts.append(f'<rect class="{kind}" x="{_LABEL}" y="{top + 2}" width="{length}" height="13"/>')
        parts.append(f'<text x="{_LABEL + length + 6}" y="{top + 12}">{said(value)}</text>')
    return parts
