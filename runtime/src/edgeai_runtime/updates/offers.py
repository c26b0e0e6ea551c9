"""What the signed metadata of the depot offers that is newer than what is confirmed on this device."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Iterable, Iterator, List, Mapping, Optional, Tuple

from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.errors import InputError
from edgeai_runtime.generations.manifest import Manifest, load_manifest
from edgeai_runtime.generations.state import read_state
from edgeai_runtime.generations.taken_back import taken_back
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, Release
from edgeai_runtime.release.versions import version_key
from edgeai_runtime.settings import Device
from edgeai_runtime.trust import store
from edgeai_runtime.trust.client import Client, NotInBundle
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.follow import follow


@dataclass(frozen=True)
class Offer:
    """A newer environment (by the name of its lock) or release than the `confirmed` one.

    `digest` is the lock's or the manifest's, `size` the bytes that are still to be fetched. `held` says
    why the device does not try it again by itself, empty when it does.
    """

    kind: str
    name: str
    confirmed: str
    offered: str
    digest: str
    size: int
    held: str = ""

    @property
    def what(self) -> str:
        return f"{'environment ' if self.kind == 'environment' else ''}{self.name} {self.offered}"


@dataclass(frozen=True)
class Offers:
    """The environment first: newer releases may need it. `depot` is who answered; `expires` ISO-8601."""

    updates: Tuple[Offer, ...]
    depot: str
    expires: str
    changed: bool = False
    actions: Tuple[str, ...] = ()


def check_updates(paths: Paths, device: Device, keep: bool = True) -> Offers:
    """Ask the depots; nothing but the memory of their metadata is written, and without `keep` not that.

    Models that are not on the device are nobody's update: a rollout brings them.
    Raises InputError on a device without a confirmed generation, TrustError, TransferError.
    """
    state = read_state(paths)
    if state.confirmed is None:
        raise InputError(f"{device.name}: nothing is confirmed on this device yet; provision it first.")
    confirmed = load_manifest(paths, state.confirmed)
    with follow(paths, Depots.of(device), keep) as (url, bundle):
        about = json.loads(bundle.read("bundle.json"))
        held = taken_back(paths, state)
        updates = [*_environment(paths, confirmed, bundle, held)]
        for name, entry in confirmed.models.items():
            versions = about["releases"].get(name, [])
            release = _newest(bundle, name, versions, device.device_class)
            if release and version_key(release.version) > version_key(entry.version):
                size, why = _missing(paths, release.blobs), held.get(release.digest, "")
                updates.append(
                    Offer("release", name, entry.version, release.version, release.digest, size, why)
                )
    actions = tuple(
        f"{offer.what} is newer than {offer.confirmed}, {offer.size / 1e6:.1f} MB to fetch{_but(offer)}"
        for offer in updates
    )
    return Offers(tuple(updates), url, about.get("expires", ""), actions=actions or ("nothing is newer",))


def _but(offer: Offer) -> str:
    return f", but {offer.held}" if offer.held else ""


def _environment(
    paths: Paths, confirmed: Manifest, bundle: Client, held: Mapping[str, str]
) -> Iterator[Offer]:
    path = paths.environment(confirmed.environment) / "lock.json"
    if not path.is_file():
        return
    name = Lock.from_json(path.read_bytes(), str(path)).name
    try:
        data = bundle.read(f"locks/{name}.json")
    except NotInBundle:  # a bundle for other devices, or without wheels
        return
    lock = Lock.from_json(data, f"locks/{name}.json")
    if lock.digest != confirmed.environment:
        wheels = [Blob(wheel.sha256, wheel.size) for wheel in (lock.installer, *lock.wheels)]
        before, after = confirmed.environment[:12], lock.digest[:12]
        size, why = _missing(paths, wheels), held.get(lock.digest, "")
        yield Offer("environment", name, before, after, lock.digest, size, why)


def _newest(bundle: Client, name: str, versions: List[str], device_class: str) -> Optional[Release]:
    """The newest of the versions that has a recipe for the device's class."""
    for version in sorted(versions, key=version_key, reverse=True):
        target = f"releases/{name}/{version}.json"
        release = Release.from_json(bundle.read(target), target)
        if device_class in release.recipes:
            return release
    return None


def _missing(paths: Paths, blobs: Iterable[Blob]) -> int:
    return sum(blob.size for blob in blobs if not store.has_blob(paths, blob.sha256, blob.size))
