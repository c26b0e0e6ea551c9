"""What a device did, as a document that anybody can check who knows the device's public key.

Signed as OpenSSH signs files (PROTOCOL.sshsig): `ssh-keygen` is where a device is reached by SSH, and
`ssh-keygen -Y verify` checks the document without this runtime.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, List, Mapping, Sequence, Tuple

from edgeai_keeper.journal import digest, read_journal

from edgeai_runtime import __version__
from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError, TrustError
from edgeai_runtime.generations.compose import whole_generations
from edgeai_runtime.generations.manifest import load_manifest
from edgeai_runtime.paths import Paths

SCHEMA = 1
NAMESPACE = "edgeai-report"  # a signature for another purpose is none for this


@dataclass(frozen=True)
class Made:
    """`public_key` is what checks the report: pin it where the device is trusted, at provisioning."""

    report: str
    signature: str
    public_key: str
    changed: bool
    actions: Tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """`lines` of the journal, unbroken from the first to the last."""

    device: str
    made: str
    lines: int
    actions: Tuple[str, ...]


def make_report(paths: Paths, status: Mapping[str, Any], output: Path, days: float = 0.0) -> Made:
    """Write the report to `output` and its signature beside it; `days` back, 0 for all that is kept.

    `status` is what `edgeai status` says. Raises InputError, StorageError.
    """
    key = _key(paths, str(status["name"]))
    since = (datetime.now(timezone.utc) - timedelta(days=days)).isoformat() if days else ""
    lines = [line.decode() for line in read_journal(paths.journal)] if paths.journal.is_file() else []
    kept = [line for line in lines if str(json.loads(line).get("time", "")) >= since]
    report = {
        "schema": SCHEMA,
        "device": status["name"],
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "runtime": __version__,
        "status": status,
        "state": _parsed(paths.state),
        "generations": _generations(paths),
        "journal": kept,
    }
    write_atomic(output, json.dumps(report, indent=1, ensure_ascii=False).encode() + b"\n")
    signature = output.with_name(f"{output.name}.sig")
    if signature.exists():
        signature.unlink()
    _must("-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(output))
    said = f"wrote {output} with {len(kept)} lines of the journal, and {signature.name}"
    return Made(str(output), str(signature), public_key(paths, str(status["name"])), True, (said,))


def public_key(paths: Paths, device: str) -> str:
    """The device's public key as OpenSSH writes one; the pair is made on first use."""
    return _key(paths, device).with_suffix(".pub").read_text(encoding="utf-8").strip()


def check_report(report: Path, key: Path) -> Checked:
    """That a report is what the device with this public key made, and that no line was taken out of it.

    Lines before the first or after the last are not missed. Raises InputError, TrustError.
    """
    signature = report.with_name(f"{report.name}.sig")
    for path in (report, signature, key):
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; check the path.")
    with tempfile.TemporaryDirectory() as directory:
        allowed = Path(directory, "allowed")
        allowed.write_text(f"device {key.read_text(encoding='utf-8').strip()}\n", encoding="utf-8")
        command = ["-Y", "verify", "-f", str(allowed), "-I", "device", "-n", NAMESPACE, "-s", str(signature)]
        said = _ssh_keygen(*command, stdin=report.read_bytes())
    if said:
        raise TrustError(
            f"{report}: the signature is not that of {key} ({said}); "
            "make the report again on the device, or look who changed it."
        )
    told = json.loads(report.read_bytes())
    _check_chain(told["journal"], report)
    said = f"{report} is as {told['device']} made it at {told['made']}, with {len(told['journal'])} lines"
    return Checked(told["device"], told["made"], len(told["journal"]), (said,))


def _check_chain(lines: Sequence[str], report: Path) -> None:
    before, linked = "", False
    for number, line in enumerate(lines, 1):
        previous = json.loads(line).get("previous")
        broken = previous is None if linked else False  # an older runtime linked none
        if number > 1 and previous is not None:
            broken = previous != digest(before.encode())
        if broken:
            raise TrustError(f"{report}: line {number} of the journal does not follow the one before it.")
        before, linked = line, linked or previous is not None


def _generations(paths: Paths) -> List[Any]:
    """The manifests, or what is wrong with one: a damaged device is reported too."""
    found: List[Any] = []
    for number in whole_generations(paths):
        try:
            found.append(json.loads(load_manifest(paths, number).to_json()))
        except InputError as error:
            found.append({"generation": number, "damaged": error.message})
    return found


def _parsed(path: Path) -> Any:
    """The JSON of a file, its text where it is none, None where there is no file."""
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _key(paths: Paths, device: str) -> Path:
    key = paths.var / "report_key"
    if not key.is_file():
        paths.var.mkdir(parents=True, exist_ok=True)
        _must("-q", "-t", "ed25519", "-N", "", "-C", f"edgeai {device}", "-f", str(key))
    return key


def _ssh_keygen(*arguments: str, stdin: bytes = b"") -> str:
    """Why it failed, in its words; empty where it did not. Raises InputError where there is none."""
    try:
        done = subprocess.run(
            ["ssh-keygen", *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except FileNotFoundError:
        raise InputError(
            "There is no ssh-keygen here, which signs and checks reports; install Debian's openssh-client."
        ) from None
    said = " ".join(done.stdout.decode(errors="replace").split())[-300:]
    return (said or "ssh-keygen failed") if done.returncode else ""


def _must(*arguments: str) -> None:
    said = _ssh_keygen(*arguments)
    if said:
        raise InputError(f"ssh-keygen could not do its part ({said}); look at the disk and its permissions.")
