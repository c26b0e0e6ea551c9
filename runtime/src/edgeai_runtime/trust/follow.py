"""A device asks its depots what is signed, and writes down when its trust moved on."""

from __future__ import annotations

import contextlib
from typing import Callable, Iterator, NamedTuple

from edgeai_runtime.durable import append_journal
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.client import Client, connect, read_pinned_root
from edgeai_runtime.trust.clock import believed_time
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.known import remembered


class Connected(NamedTuple):
    """The depot that answered, and what its bundle says."""

    url: str
    bundle: Client


@contextlib.contextmanager
def follow(
    paths: Paths, depots: Depots, keep: bool, progress: Callable[[str], None] = lambda sentence: None
) -> Iterator[Connected]:
    """Connect to the first of the depots whose metadata is in order; without `keep` nothing is remembered.

    Raises InputError (not provisioned), TrustError, TransferError, StorageError.
    """
    pinned, time = read_pinned_root(paths.root_json), believed_time(paths)
    if time.problem:
        progress(time.problem)
        if keep:
            append_journal(paths, "clock_disbelieved", reason=time.problem)
    before = remembered(paths, "root").get("version", 1)

    try:
        with contextlib.ExitStack() as stack:

            def connected(url: str) -> Connected:
                bundle = stack.enter_context(connect(url, pinned, paths.trust, keep, time.now))
                return Connected(url, bundle)

            yield depots.ask(connected)
    finally:  # a new root counts, also where what it signs was not in order
        after = remembered(paths, "root").get("version", before)
        if after > before:
            append_journal(paths, "root_followed", before=before, after=after)
