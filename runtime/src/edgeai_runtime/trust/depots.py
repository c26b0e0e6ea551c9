"""A device's depot and its mirrors: each file comes from the first that delivers it.

Standard library only: provisioning begins with nothing but the runtime's wheel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, List, Sequence, TypeVar

from edgeai_runtime.errors import EdgeAIError, TransferError, TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob
from edgeai_runtime.trust import store
from edgeai_runtime.trust.meter import Meter
from edgeai_runtime.trust.transfer import Received

if TYPE_CHECKING:
    from edgeai_runtime.settings import Device  # which needs a TOML library on older Pythons

Answer = TypeVar("Answer")
TOLD_EVERY = 25  # files


class Depots:
    """`urls` in the order in which they are asked; one that fails is asked last from then on.

    `rate_limit` is what all of them together may send, in bytes a second, 0 for no limit.
    """

    def __init__(self, urls: Sequence[str], rate_limit: float = 0.0) -> None:
        self._urls: List[str] = list(urls)
        self._rate_limit = rate_limit

    @classmethod
    def of(cls, device: Device) -> Depots:
        """The depot that a device follows, and its mirrors."""
        return cls([device.depot_url, *device.depot_mirrors], device.depot_rate_limit)

    def ask(self, question: Callable[[str], Answer]) -> Answer:
        """The answer of the first whose URL gets one; raises what the first of all failed with."""
        failures: List[EdgeAIError] = []
        for url in tuple(self._urls):
            try:
                return question(url)
            except (TransferError, TrustError) as failure:
                failures.append(failure)
                self._urls.remove(url)
                self._urls.append(url)
        raise failures[0]

    def meter(self, total: int, tell: Callable[[str], None]) -> Meter:
        """Counts a transfer of `total` bytes and keeps it below the limit."""
        return Meter(total, self._rate_limit, tell)

    def fetch_blob(
        self, paths: Paths, sha256: str, size: int, received: Received = lambda count: None
    ) -> int:
        """`store.fetch_blob` from the first that delivers; a part that one left goes on with the next."""
        return self.ask(lambda url: store.fetch_blob(paths, url, sha256, size, received))

    def fetch_blobs(
        self, paths: Paths, blobs: Sequence[Blob], what: str, progress: Callable[[str], None]
    ) -> None:
        """Bring files of `what` that `store.not_intact` named. Raises TransferError, TrustError."""
        meter = self.meter(sum(blob.size for blob in blobs), progress)
        for number, blob in enumerate(blobs, 1):
            store.drop_damaged(paths, blob.sha256)  # what is used is what was signed, today as well
            self.fetch_blob(paths, blob.sha256, blob.size, meter)
            if number % TOLD_EVERY == 0 or number == len(blobs):
                progress(f"{number} of {len(blobs)} files of {what}")

    def read_blob(self, sha256: str, limit: int) -> bytes:
        """`store.read_blob` from the first that delivers."""
        return self.ask(lambda url: store.read_blob(url, sha256, limit))
