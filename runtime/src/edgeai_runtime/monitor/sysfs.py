"""Files in which the kernel tells one thing each; what it does not tell is None."""

from __future__ import annotations

from pathlib import Path
from typing import Optional


def read_text(path: Path) -> Optional[str]:
    """What the file says, stripped; None where it is not there, or answers with an error as a sensor does
    that is switched off."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_int(path: Path, base: int = 10) -> Optional[int]:
    """The whole number in the file; None where there is none."""
    text = read_text(path)
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None
