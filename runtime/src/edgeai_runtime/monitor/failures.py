"""The last requests that were not answered with a result, and why."""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, Dict, List

from edgeai_keeper.basics import timestamp

KEPT = 50
_LENGTH = 500  # characters of a cause


class Failures:
    """The same mistake again and again is one entry with a count: it must not push the others out."""

    def __init__(self) -> None:
        self._entries: Deque[Dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, model: str, status: int, cause: str) -> None:
        """`status`: of HTTP; `cause`: the sentence the client was told."""
        cause = cause[:_LENGTH]
        last = self._entries[-1] if self._entries else {}
        if (last.get("model"), last.get("status"), last.get("cause")) == (model, status, cause):
            last.update(time=timestamp(), count=last["count"] + 1)
        else:
            entry = {"time": timestamp(), "model": model, "status": status, "count": 1, "cause": cause}
            self._entries.append(entry)

    def report(self) -> List[Dict[str, Any]]:
        """Newest first: `time` of the last one, `model`, `status`, `count`, `cause`."""
        return [dict(entry) for entry in reversed(self._entries)]
