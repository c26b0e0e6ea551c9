"""The root of trust: which keys may sign for which role, and how many of them must (TUF's root role).

The directory of the keys has `root.json`, which is in force, those before it in `roots/`, and in
`next-root.json` one that is proposed until enough keys have signed it: a threshold of the root before
and one of its own (TUF 5.3.4). Devices follow from the one they were provisioned with to the newest.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

# Both packages name their exports in ways that a type checker does not follow.
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined]

from edgeai_runtime.bundle.keys import (
    NAME_FIELD,
    Passphrase,
    keys_in,
    load_signer,
    make_key,
    named_key,
    public_key,
)
from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError

ROLES = ("root", "targets", "snapshot", "timestamp")
# The root outlives every bundle: a device refuses updates once it has expired.
ROOT_DAYS = 3650

# For a role: how many must sign, and the names of those who may.
Role = Tuple[int, Sequence[str]]


@dataclass(frozen=True)
class RootResult:
    """`roles` has for each role its threshold and keys, `missing` says whose signatures are, if any."""

    path: str
    version: int
    in_force: bool
    expires: str
    roles: List[Dict[str, Any]]
    missing: List[str]
    changed: bool
    actions: List[str]


class Keys:
    """The roots (the first one made to the one in force), and who signs for the other roles."""

    def __init__(self, roots: Sequence[bytes], signers: Mapping[str, Sequence[CryptoSigner]]) -> None:
        self.roots = list(roots)
        self._signers = dict(signers)

    def sign(self, role: str, metadata: Metadata[Any]) -> bytes:
        """Sign `metadata` with as many keys as `role` needs; returns the file's content."""
        for signer in self._signers[role]:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()


def open_keys(directory: Path, output: Path, passphrase: Optional[Passphrase] = None) -> Keys:
    """The keys in `directory` for the bundle in `output`; made where neither has any yet.

    Raises InputError for keys that lie in the bundle, are too few, unreadable or readable by others, or
    are not those of the bundle's root.
    """
    passphrase = passphrase or Passphrase()
    if output.resolve() in (directory.resolve(), *directory.resolve().parents):
        raise InputError(f"{directory}: keys must not lie in the bundle {output}; name another directory.")
    first = output / "metadata" / "1.root.json"
    if not read_roots(directory):
        if first.is_file():
            raise InputError(
                f"{directory}: the keys of the bundle {output} are missing; restore them from your backup, "
                "or build with new keys in an empty directory and provision the devices again."
            )
        set_root(directory, {}, passphrase=passphrase)
    roots = read_roots(directory)
    if not roots:
        raise InputError(
            f"{directory}/next-root.json: too few keys have signed this root; see `edgeai trust-root show`."
        )
    if first.is_file() and first.read_bytes() != roots[0]:
        raise InputError(
            f"{first}: this bundle was signed with other keys than those in {directory}; "
            "name their directory, or build in an empty one."
        )
    root = _parse(roots[-1], directory / "root.json").signed
    here = keys_in(directory)
    return Keys(
        roots, {role: _signers(root, role, directory, here, passphrase) for role in ROLES if role != "root"}
    )


def read_roots(directory: Path) -> List[bytes]:
    """The signed roots from the first to the one in force, empty where there are none."""
    newest = directory / "root.json"
    if not newest.is_file():
        return []
    data = newest.read_bytes()
    version = _parse(data, newest).signed.version
    before = [directory / "roots" / f"{number}.root.json" for number in range(1, version)]
    for path in before:
        if not path.is_file():
            raise InputError(
                f"{path}: this root is missing, without which devices cannot follow; restore it from your "
                "backup or out of a bundle's metadata."
            )
    return [*(path.read_bytes() for path in before), data]


def set_root(
    directory: Path,
    roles: Mapping[str, Role],
    expires_days: int = ROOT_DAYS,
    passphrase: Optional[Passphrase] = None,
    check: bool = False,
) -> RootResult:
    """Let these keys sign for these `roles`, the others as before; keys of a new root's others are made.

    Signed with what keys are here; in force once that is enough. The same again changes nothing, or
    brings a proposal in force whose signatures came meanwhile. Raises InputError.
    """
    passphrase = passphrase or Passphrase()
    if not 1 <= expires_days <= ROOT_DAYS:
        raise InputError(f"A root may be good for 1 to {ROOT_DAYS} days, not {expires_days}; correct it.")
    current = _current(directory)
    wanted = _wanted(directory, current, roles, expires_days, passphrase, check)
    path = directory / "next-root.json"
    if current is None and check:  # with keys that are not there yet
        return _told(path, Metadata(wanted), None, False, ["would make root version 1"], set())
    proposed = _parse(path.read_bytes(), path) if path.is_file() else None
    if current is not None and _is_same(current.signed, wanted, expires_days):
        actions = []
        if proposed is not None:
            actions.append(f"{'would drop' if check else 'dropped'} the proposal {path}")
            if not check:
                path.unlink()
        return _told(directory / "root.json", current, None, True, actions)
    if (
        proposed is None
        or proposed.signed.version != wanted.version
        or not _is_same(proposed.signed, wanted, expires_days)
    ):
        proposed = Metadata(wanted)
    return _sign_and_place(path, proposed, current, directory, passphrase, check)


def sign_root(
    directory: Path, file: Optional[Path] = None, passphrase: Optional[Passphrase] = None, check: bool = False
) -> RootResult:
    """Sign a proposed root with the keys in `directory`; in force when it lies there and that is enough.

    `file` may lie elsewhere, as on a stick that goes round among those who sign. Raises InputError.
    """
    path = file or directory / "next-root.json"
    if not path.is_file():
        raise InputError(f"{path}: there is no root to sign; propose one with `edgeai trust-root set`.")
    proposed = _parse(path.read_bytes(), path)
    current = _current(path.parent)
    return _sign_and_place(path, proposed, current, directory, passphrase or Passphrase(), check)


def show_root(directory: Path, file: Optional[Path] = None) -> RootResult:
    """The root in `file`, else the proposed one, else the one in force. Raises InputError."""
    candidates = [file] if file else [directory / "next-root.json", directory / "root.json"]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise InputError(f"{candidates[-1]}: there is no root; make one with `edgeai trust-root set`.")
    in_force = path.name != "next-root.json"
    before = None if in_force else _current(path.parent)
    return _told(path, _parse(path.read_bytes(), path), before, in_force, [])


def _current(directory: Path) -> Optional[Metadata[Root]]:
    path = directory / "root.json"
    return _parse(path.read_bytes(), path) if path.is_file() else None


def _parse(data: bytes, path: Path) -> Metadata[Root]:
    try:
        metadata = Metadata[Root].from_bytes(data)
        if isinstance(metadata.signed, Root):
            return metadata
    except RepositoryError:
        pass
    raise InputError(f"{path}: this is no root metadata; restore it from your backup.")


def _wanted(
    directory: Path,
    current: Optional[Metadata[Root]],
    roles: Mapping[str, Role],
    expires_days: int,
    passphrase: Passphrase,
    check: bool,
) -> Root:
    """The root as it should be, not signed yet."""
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=expires_days)
    version = current.signed.version + 1 if current else 1
    root = Root(version=version, expires=expires, consistent_snapshot=True)
    for role in ROLES:
        threshold = 1
        keys: List[Any] = []
        if role in roles:
            threshold, names = roles[role]
            keys = [named_key(directory, name) for name in names]
        elif current:
            before = current.signed.roles[role]
            threshold, keys = before.threshold, [current.signed.keys[keyid] for keyid in before.keyids]
        elif (directory / f"{role}.pem").is_file():
            keys = [public_key(directory / f"{role}.pem")]
        elif not check:
            keys = [make_key(directory / f"{role}.pem", passphrase.for_new())]
        for key in keys:
            root.add_key(key, role)
        count = len(root.roles[role].keyids)
        if role in roles and not (1 <= threshold <= count == len(roles[role][1])):
            raise InputError(
                f"The role {role} cannot want {threshold} signatures of {count} different keys; "
                "give at least as many keys, each once."
            )
        root.roles[role].threshold = threshold
    return root


def _is_same(root: Root, wanted: Root, expires_days: int) -> bool:
    """Whether a root says the same as the wanted one and has at least half of its time left."""
    left = root.expires - datetime.now(timezone.utc)
    life = timedelta(days=expires_days)
    return life / 2 <= left <= life and all(
        (set(root.roles[role].keyids), root.roles[role].threshold)
        == (set(wanted.roles[role].keyids), wanted.roles[role].threshold)
        for role in ROLES
    )


def _sign_and_place(
    path: Path,
    proposed: Metadata[Root],
    current: Optional[Metadata[Root]],
    directory: Path,
    passphrase: Passphrase,
    check: bool,
) -> RootResult:
    """Add the signatures that the keys in `directory` can give, then write the root where it belongs."""
    version = proposed.signed.version
    if current is not None and version != current.signed.version + 1:
        raise InputError(
            f"{path}: this root is version {version}, and in force is version {current.signed.version}; "
            "propose it again with `edgeai trust-root set`."
        )
    here = keys_in(directory)
    signed = _signed(proposed, current)
    new = {keyid: key for keyid, key in _signing_keys(proposed, current).items() if keyid in here}
    new = {keyid: key for keyid, key in new.items() if keyid not in signed}
    if not check:
        for keyid in new:
            proposed.sign(load_signer(here[keyid], keyid, passphrase), append=True)
    missing = _missing(proposed, current, {*signed, *new})
    at_home = path.parent.resolve() == directory.resolve()
    actions = []
    if new or not path.is_file():
        names = ", ".join(map(_name, new.values())) or "none of the keys here"
        actions.append(f"{'would sign' if check else 'signed'} root version {version} with {names}")
    if at_home and not missing:
        actions.append(f"{'would put' if check else 'put'} root version {version} in force")
        if not check:
            _put_in_force(directory, proposed, current)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        return _told(directory / "root.json", proposed, None, True, actions)
    if actions and not check:
        write_atomic(path, proposed.to_bytes())
    return _told(path, proposed, current, False, actions, {*signed, *new})


def _put_in_force(directory: Path, root: Metadata[Root], before: Optional[Metadata[Root]]) -> None:
    if before is not None:
        kept = directory / "roots" / f"{before.signed.version}.root.json"
        write_atomic(kept, (directory / "root.json").read_bytes())
    write_atomic(directory / "root.json", root.to_bytes())


def _concerned(proposed: Metadata[Root], current: Optional[Metadata[Root]]) -> Dict[str, Root]:
    """The roots of which each wants a threshold of signatures."""
    before = {"the root before": current.signed} if current else {}
    return {**before, "the new root": proposed.signed}


def _signing_keys(proposed: Metadata[Root], current: Optional[Metadata[Root]]) -> Dict[str, Any]:
    roots = _concerned(proposed, current).values()
    return {keyid: root.keys[keyid] for root in roots for keyid in root.roles["root"].keyids}


def _signed(proposed: Metadata[Root], current: Optional[Metadata[Root]]) -> Set[str]:
    """The ids of the keys whose signature is there and right."""
    found: Set[str] = set()
    for root in _concerned(proposed, current).values():
        result = root.get_verification_result("root", proposed.signed_bytes, proposed.signatures)
        found.update(result.signed)
    return found


def _missing(proposed: Metadata[Root], current: Optional[Metadata[Root]], signed: Set[str]) -> List[str]:
    """For each root that too few keys have signed for, how many more of whose."""
    said = []
    for title, root in _concerned(proposed, current).items():
        role = root.roles["root"]
        lacking = role.threshold - len(signed & set(role.keyids))
        if lacking > 0:
            names = ", ".join(_name(root.keys[keyid]) for keyid in role.keyids if keyid not in signed)
            said.append(f"{title} wants {lacking} more of {names}")
    return said


def _name(key: Any) -> str:
    return str(key.unrecognized_fields.get(NAME_FIELD, key.keyid[:12]))


def _told(
    path: Path,
    root: Metadata[Root],
    before: Optional[Metadata[Root]],
    in_force: bool,
    actions: List[str],
    signed: Optional[Set[str]] = None,
) -> RootResult:
    missing = [] if in_force else _missing(root, before, _signed(root, before) if signed is None else signed)
    rows = [
        {
            "role": role,
            "threshold": root.signed.roles[role].threshold,
            "keys": [_name(root.signed.keys[keyid]) for keyid in root.signed.roles[role].keyids],
        }
        for role in ROLES
    ]
    expires = root.signed.expires.isoformat()
    return RootResult(
        str(path), root.signed.version, in_force, expires, rows, missing, bool(actions), actions
    )


def _signers(
    root: Root, role: str, directory: Path, here: Mapping[str, Path], passphrase: Passphrase
) -> List[CryptoSigner]:
    """As many of the keys that may sign for `role` as must; raises InputError where fewer are here."""
    threshold, keyids = root.roles[role].threshold, root.roles[role].keyids
    found = [keyid for keyid in keyids if keyid in here]
    if len(found) < threshold:
        names = ", ".join(_name(root.keys[keyid]) for keyid in keyids if keyid not in here)
        raise InputError(
            f"{directory}: {threshold} keys must sign for {role} and {len(found)} are here, without {names}; "
            "restore them from your backup, or let others sign with `edgeai trust-root set`."
        )
    return [load_signer(here[keyid], keyid, passphrase) for keyid in found[:threshold]]
