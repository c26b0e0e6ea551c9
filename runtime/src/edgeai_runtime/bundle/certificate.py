"""A certificate for the factory's depot, from a certificate authority (CA) of the factory's own.

Both are made on the workstation, below the directory of the other keys: `depot/ca.pem` is what devices
trust, `depot/NAME.pem` and `depot/NAME.key` go to the depot, `depot/ca.key` goes nowhere. ECDSA on
P-256, fields as RFC 5280 wants them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import List, Sequence, Tuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError

CA_LIFETIME = timedelta(days=3650)
RENEWED_BEFORE = timedelta(days=30)
# A device's clock may be behind: small boards have none that runs without power.
BACKDATED = timedelta(days=1)
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")

Issuer = Tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


@dataclass(frozen=True)
class DepotCertificate:
    """Paths of the files, the names that it is for, and the day it expires ("2027-11-25")."""

    ca: str
    certificate: str
    key: str
    names: List[str]
    expires: str
    changed: bool
    actions: List[str]


def make_certificate(
    keys_dir: Path, names: Sequence[str], days: int = 825, check: bool = False
) -> DepotCertificate:
    """Make a certificate for the depot's names and addresses, and the CA on first use.

    Nothing is done while there is one for just these names that is good for 30 days more.
    Raises InputError.
    """
    for name in names:
        if not _HOST_NAME.fullmatch(name) and not _is_address(name):
            raise InputError(
                f"'{name}' is neither a host name in small letters nor an address; "
                "give what devices call the depot, such as depot.factory."
            )
    directory = keys_dir / "depot"
    path = directory / f"{names[0].replace(':', '_')}.pem"
    found = _read(path) if path.is_file() else None
    made = "would make" if check else "made"
    actions: List[str] = []
    if found is None or not _is_for(found, names, directory / "ca.pem"):
        found = None
        if not (directory / "ca.pem").is_file():
            actions.append(f"{made} the certificate authority {directory}/ca.pem")
        actions.append(f"{made} the certificate {path}")
        if not check:
            found = _issue(_authority(directory), path, names, timedelta(days=days))
    expires = found.not_valid_after_utc if found else datetime.now(timezone.utc) + timedelta(days=days)
    key = str(path.with_suffix(".key"))
    return DepotCertificate(
        str(directory / "ca.pem"),
        str(path),
        key,
        list(names),
        expires.date().isoformat(),
        bool(actions),
        actions,
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _general_names(names: Sequence[str]) -> List[x509.GeneralName]:
    return [
        x509.IPAddress(ipaddress.ip_address(name)) if _is_address(name) else x509.DNSName(name)
        for name in names
    ]


def _is_for(found: x509.Certificate, names: Sequence[str], ca: Path) -> bool:
    """Whether a certificate has just these names, is of our authority and good for a while."""
    has = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if set(has) != set(_general_names(names)) or not ca.is_file():
        return False
    if found.not_valid_after_utc < datetime.now(timezone.utc) + RENEWED_BEFORE:
        return False
    return found.issuer == _read(ca).subject


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: this is no readable certificate ({error}); restore it from your backup."
        ) from None


def _authority(directory: Path) -> Issuer:
    """The CA in `directory`, made where there is none. Raises InputError for one that is incomplete."""
    certificate_path, key_path = directory / "ca.pem", directory / "ca.key"
    if certificate_path.is_file() != key_path.is_file():
        missing = key_path if certificate_path.is_file() else certificate_path
        raise InputError(
            f"{missing}: this half of the depot's certificate authority is missing; restore it from your "
            "backup, or remove the other half and give the devices the new one."
        )
    if certificate_path.is_file():
        if key_path.stat().st_mode & 0o077:
            raise InputError(f"{key_path}: others may read this key; run `chmod 600 {key_path}`.")
        try:
            key = load_pem_private_key(key_path.read_bytes(), None)
        except (ValueError, TypeError, OSError):
            raise InputError(f"{key_path}: this is no readable key; restore it from your backup.") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InputError(f"{key_path}: this is no key on P-256; restore it from your backup.")
        return _read(certificate_path), key
    key = _new_key(key_path)
    # The serial keeps two authorities of one name apart.
    subject = _name(f"edgeai depot CA {x509.random_serial_number():x}"[:32])
    built = (
        _builder(subject, subject, key.public_key(), CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(key, SHA256())
    )
    write_atomic(certificate_path, built.public_bytes(Encoding.PEM))
    return built, key


def _issue(issuer: Issuer, path: Path, names: Sequence[str], lifetime: timedelta) -> x509.Certificate:
    ca, ca_key = issuer
    key = _new_key(path.with_suffix(".key"))
    ca_identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    built = (
        _builder(_name(names[0][:64]), ca.subject, key.public_key(), lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False
        )
        .sign(ca_key, SHA256())
    )
    write_atomic(path, built.public_bytes(Encoding.PEM))
    return built


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomic(path, pem, mode=0o600)
    return key
