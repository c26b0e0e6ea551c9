"""A device's depot and its mirrors: each file comes from the first that delivers it."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence

from edgeai_runtime.errors import EdgeAIError, TransferError, TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust import client, store
from edgeai_runtime.trust.transfer import Received


class Connected(NamedTuple):
    """The depot that answered, and what its bundle says."""

    url: str
    bundle: client.Client


class Depots:
    """`urls` in the order in which they are asked; one that fails is asked last from then on."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls: List[str] = list(urls)

    @contextlib.contextmanager
    def connect(self, pinned_root: bytes, cache: Path, keep: bool, now: datetime) -> Iterator[Connected]:
        """The first whose metadata is in order (`client.connect`); raises what the first one failed with."""
        with contextlib.ExitStack() as stack:
            failures: List[EdgeAIError] = []
            for url in tuple(self._urls):
                try:
                    found = stack.enter_context(client.connect(url, pinned_root, cache, keep, now))
                    break
                except (TransferError, TrustError) as failure:
                    self._failed(url, failure, failures)
            else:
                raise failures[0]
            yield Connected(url, found)

    def fetch_blob(self, paths: Paths, sha256: str, size: int, received: Received) -> int:
        """`store.fetch_blob` from the first that delivers; a part that one left goes on with the next."""
        failures: List[EdgeAIError] = []
        for url in tuple(self._urls):
            try:
                return store.fetch_blob(paths, url, sha256, size, received)
            except (TransferError, TrustError) as failure:
                self._failed(url, failure, failures)
        raise failures[0]

    def _failed(self, url: str, failure: EdgeAIError, failures: List[EdgeAIError]) -> None:
        failures.append(failure)
        self._urls.remove(url)
        self._urls.append(url)
