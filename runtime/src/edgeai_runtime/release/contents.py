"""Where the content of a blob lies on the workstation: in a file, in a part of one, or in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Union

PIECE = 1 << 20


@dataclass(frozen=True)
class Part:
    """`size` bytes of a file from byte `start` on."""

    path: Path
    start: int
    size: int


Content = Union[Path, Part, bytes]


def content_size(content: Content) -> int:
    """The size of a content in bytes."""
    if isinstance(content, bytes):
        return len(content)
    return content.size if isinstance(content, Part) else content.stat().st_size


def content_pieces(content: Content) -> Iterator[bytes]:
    """A content in pieces of at most 1 MiB; fewer bytes than its size where the file was cut meanwhile."""
    if isinstance(content, bytes):
        yield content
        return
    whole = content if isinstance(content, Part) else Part(content, 0, content.stat().st_size)
    left = whole.size
    with open(whole.path, "rb") as file:
        file.seek(whole.start)
        while left:
            piece = file.read(min(PIECE, left))
            if not piece:
                return
            left -= len(piece)
            yield piece
