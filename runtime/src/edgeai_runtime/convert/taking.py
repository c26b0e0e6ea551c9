"""Take what another device of the very same fingerprint converted from the depot, and measure it here."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Callable, List, Optional

from edgeai_runtime.convert.burden import Burden
from edgeai_runtime.convert.child import TIME_LIMIT_S, run_child, within
from edgeai_runtime.convert.conversion import CHOSEN, Conversion, Row
from edgeai_runtime.convert.shared import Shared, read_shared, target_of
from edgeai_runtime.convert.wanted import Wanted
from edgeai_runtime.convert.workplace import scratch
from edgeai_runtime.durable import append_journal
from edgeai_runtime.errors import ConvertError, InputError, TransferError, TrustError
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.space import left_to_fetch, need_space
from edgeai_runtime.trust.store import not_intact

Progress = Callable[[str], None]


def offered(wanted: Wanted, keep: bool, progress: Progress) -> Optional[Shared]:
    """What the depot has for devices of this fingerprint, verified; None where it has nothing, is out of
    reach, or the device's settings do not allow it. Without `keep` nothing is remembered of what it said.
    Raises StorageError."""
    if not wanted.device.depot_conversions:
        return None
    from edgeai_runtime.trust.follow import follow

    target = target_of(wanted.fingerprint)
    try:
        with follow(wanted.paths, Depots.of(wanted.device), keep) as (url, bundle):
            if not bundle.has(target):
                return None
            offer = read_shared(bundle.read(target), f"{url}, {target}")
    except (TrustError, TransferError, InputError) as error:
        progress(f"nothing is taken of what other devices converted: {error.message}")
        return None
    return offer if offer.fingerprint == wanted.fingerprint else None


def take(wanted: Wanted, progress: Progress) -> Optional[Conversion]:
    """What is offered, measured here; None where there is nothing that passes. Raises ConvertError where the
    release is not whole, StorageError."""
    offer = offered(wanted, keep=True, progress=progress)
    if offer is None:
        return None
    what = f"what {offer.made_by} made of {wanted.name}, {offer.recipe}"
    wanted.need_blobs()
    try:
        _fetch(wanted, offer, progress)
        row = _measured(wanted, offer, progress)
    except (ConvertError, TransferError, TrustError) as error:
        progress(f"{what}, is not taken: {error.message}")
        return None
    judged = wanted.release.quality
    quality, needed = row.quality or 0.0, wanted.release.gates[judged]
    if quality < needed:
        progress(f"{what}, is not taken: {judged} is {quality:.3g} here, required at least {needed:g}")
        return None
    append_journal(
        wanted.paths,
        "conversion_taken",
        release=wanted.release.name,
        version=wanted.release.version,
        fingerprint=wanted.fingerprint,
        made_by=offer.made_by,
    )
    why = f"{offer.made_by}, a device of the same fingerprint, made it; measured here"
    return Conversion(
        fingerprint=wanted.fingerprint,
        artifact=offer.artifact.sha256,
        engine=offer.engine,
        instead=offer.instead.sha256 if offer.instead else "",
        recipe=offer.recipe,
        quality=row.quality,
        p50_ms=row.p50_ms,
        p99_ms=row.p99_ms,
        size=row.size,
        table=(replace(row, verdict=CHOSEN, why=why),),
        threads=row.threads,
        changed=True,
        actions=(f"took {what}, from the depot",),
    )


def _fetch(wanted: Wanted, offer: Shared, progress: Progress) -> None:
    """Bring its files into the store. Raises TrustError, TransferError, StorageError."""
    paths, what = wanted.paths, f"what {offer.made_by} converted"
    missing = not_intact(paths, offer.files)
    need_space(paths.store, what, {"to fetch": left_to_fetch(paths, missing)})
    Depots.of(wanted.device).fetch_blobs(paths, missing, what, progress)


def _measured(wanted: Wanted, offer: Shared, progress: Progress) -> Row:
    """Its row, measured here. Raises ConvertError where it does not run, StorageError."""
    given = {"name": offer.recipe, "artifact": offer.artifact.sha256, "engine": offer.engine}
    rows: List[Row] = []

    def told(_word: str, row: Any) -> None:
        rows.append(Row.from_json(row))

    with scratch(wanted.paths) as work:
        job = {**wanted.job(work), "threads": offer.threads, "candidates": [], "race": [], "given": given}
        burden = Burden(wanted.paths.http)
        run_child(json.dumps(job).encode(), str(work), progress, told, within(TIME_LIMIT_S), burden)
    return rows[0]
