"""What is going on, while it goes on: sentences and a bar for a person, JSON lines for a program."""

from __future__ import annotations

import json
import shutil
from typing import IO, Dict

BAR = 30  # characters


class Transferred(str):
    """A sentence that has its `figures`: bytes so far and in total, bytes a second, seconds that remain."""

    figures: Dict[str, float]


class Progress:
    """Tells `stream` each sentence. A bar needs a terminal; elsewhere only a program reads the figures."""

    def __init__(self, as_json: bool, stream: IO[str]) -> None:
        self._json = as_json
        self._stream = stream
        self._bar = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *failure: object) -> None:
        self._clear()

    def __call__(self, sentence: str) -> None:
        figures = sentence.figures if isinstance(sentence, Transferred) else {}
        if self._json:
            print(json.dumps({"progress": sentence, **figures}), file=self._stream, flush=True)
        elif not figures:
            self._clear()
            print(sentence, file=self._stream, flush=True)
        elif self._stream.isatty():
            self._clear()
            done = round(BAR * min(1.0, figures["bytes"] / figures["total"]))
            text = f"[{'#' * done}{'.' * (BAR - done)}] {sentence}"
            self._stream.write(text[: shutil.get_terminal_size().columns - 1])
            self._stream.flush()
            self._bar = True

    def _clear(self) -> None:
        if self._bar:
            self._stream.write("\r\x1b[K")  # ECMA-48: to the line's start, erase to its end
            self._bar = False
