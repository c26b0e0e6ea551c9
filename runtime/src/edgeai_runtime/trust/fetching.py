"""Bring a release to the device: its manifest through TUF, its files by the digests in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional

from edgeai_runtime.durable import append_journal, device_lock, write_atomic
from edgeai_runtime.errors import InputError, TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release
from edgeai_runtime.settings import Device
from edgeai_runtime.trust import store
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.follow import follow
from edgeai_runtime.trust.records import release_record
from edgeai_runtime.trust.revoked import NOTHING, TARGET, keep_revoked, reason_in, refuse_revoked, why_revoked
from edgeai_runtime.trust.space import CONVERSION_COPIES, left_to_fetch, need_space


@dataclass(frozen=True)
class FetchResult:
    """`release` is "name version", `digest` its manifest's; `bytes_fetched` is a forecast in a check."""

    release: str
    digest: str
    bytes_fetched: int
    bytes_present: int
    changed: bool
    actions: List[str]


def fetch_release(
    paths: Paths,
    device: Device,
    name: str,
    version: str,
    check: bool = False,
    progress: Callable[[str], None] = lambda sentence: None,
) -> FetchResult:
    """Fetch a release from the device's depots into the store; what is there is not transferred again.

    It counts as fetched only once every file is there and proved. `check` predicts, changes nothing.
    Raises InputError (not provisioned, no recipe for the device's class), TrustError, TransferError,
    StorageError.
    """
    if check:
        return _fetch(paths, device, name, version, check, progress)
    with device_lock(paths):
        return _fetch(paths, device, name, version, check, progress)


def load_release(paths: Paths, name: str, version: str) -> Release:
    """A release that was fetched; raises InputError when it was not, TrustError when it was revoked."""
    refuse_revoked(name, version, why_revoked(paths, name, version))
    record = release_record(paths, name, version)
    if not record.is_file():
        raise InputError(
            f"{name} {version} is not on this device; fetch it first with `edgeai fetch {name} {version}`."
        )
    return Release.from_json(record.read_bytes(), str(record))


def _known(record: Path) -> Optional[bytes]:
    """The manifest as it was fetched before, None where it was not or is damaged."""
    try:
        data = record.read_bytes()
        Release.from_json(data, str(record))
    except (FileNotFoundError, InputError):
        return None
    return data


def _fetch(
    paths: Paths, device: Device, name: str, version: str, check: bool, progress: Callable[[str], None]
) -> FetchResult:
    depots = Depots.of(device)
    target = f"releases/{name}/{version}.json"
    with follow(paths, depots, keep=not check, progress=progress) as (depot_url, bundle):
        revoked = bundle.read(TARGET) if bundle.has(TARGET) else NOTHING
        if not check:
            keep_revoked(paths, revoked)
        refuse_revoked(name, version, reason_in(revoked, name, version))
        manifest = bundle.read(target)
    release = Release.from_json(manifest, f"{depot_url}, {target}")
    if (release.name, release.version) != (name, version):
        raise TrustError(
            f"{depot_url}, {target}: the manifest is of {release.name} {release.version}; "
            "build the bundle again."
        )
    release.recipe_for(device.device_class)  # before megabytes are fetched for nothing
    record = release_record(paths, name, version)
    known = _known(record)
    if known not in (None, manifest):
        raise TrustError(
            f"{name} {version} is on this device with other content than in the depot {depot_url}; "
            "a version never changes, so publish the new content under a new version "
            f"(or remove {record} if this device's disk spoilt it)."
        )
    missing = store.not_intact(paths, release.blobs)
    fetched = sum(blob.size for blob in missing)
    present = sum(blob.size for blob in release.blobs) - fetched
    changed = bool(missing) or known is None
    if missing:
        to_convert = CONVERSION_COPIES * release.model_size
        needs = {"to fetch": left_to_fetch(paths, missing), "to convert it": to_convert}
        need_space(paths.store, f"{name} {version}", needs)
    if changed and not check:
        depots.fetch_blobs(paths, missing, f"{name} {version}", progress)
        write_atomic(record, manifest)
        append_journal(paths, "fetched", release=name, version=version, digest=release.digest)
    said = f"{name} {version}: {len(missing)} of {len(release.blobs)} files, {fetched / 1e6:.1f} MB"
    actions = [f"{'would fetch' if check else 'fetched'} {said}"] if changed else []
    return FetchResult(f"{name} {version}", release.digest, fetched, present, changed, actions)
