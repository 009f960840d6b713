"""The certificates of a stack: an authority of its own, and what it has signed for each service."""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_DAYS, _DAYS, _RENEW_DAYS = 3650, 365, 30


def prepare_certificates(secrets: Path, services: list[str], host: str) -> None:
    """Make what is missing, and anew what ends within a month. Running servers take up new files by themselves.

    `ca/ca.pem` is whom all believe; `{service}/tls.pem` and `tls.key` carry the service's name, for servers and callers;
    `gateway/public.pem` and `public.key` carry where the gateway is reached, and are no good for calling services.
    """
    authority = _authority(secrets / "ca")
    for service in services:
        names: list[x509.GeneralName] = [x509.DNSName(service)]
        _signed(secrets / service, "tls", names, authority, caller=True)
    reached: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    try:
        reached.append(x509.IPAddress(ipaddress.ip_address(host)))
    except ValueError:
        reached.append(x509.DNSName(host))
    _signed(secrets / "gateway", "public", reached, authority, caller=False)


Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _authority(folder: Path) -> Authority:
    if not (folder / "ca.pem").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "roomviz local authority")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            _builder(name, name, key, _AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(folder, "ca", certificate, key)
    kept = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(kept, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()), kept


def _signed(folder: Path, stem: str, names: list[x509.GeneralName], authority: Authority, caller: bool) -> None:
    issuer, issuer_key = authority
    alternative = x509.SubjectAlternativeName(names)
    if (folder / f"{stem}.pem").exists() and (folder / f"{stem}.key").exists():
        have = x509.load_pem_x509_certificate((folder / f"{stem}.pem").read_bytes())
        fresh = have.not_valid_after_utc > datetime.now(UTC) + timedelta(days=_RENEW_DAYS)
        same = have.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == alternative
        if fresh and same and _signed_by(have, issuer):
            return
    key = ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] + ([ExtendedKeyUsageOID.CLIENT_AUTH] if caller else [])
    certificate = (
        _builder(x509.Name([]), issuer.subject, key, _DAYS)
        .add_extension(alternative, critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    _write(folder, stem, certificate, key)


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )


def _write(folder: Path, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """The key first, each put in its place whole; who reads between the two keeps what it had."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for name, data in ((f"{stem}.key", private), (f"{stem}.pem", certificate.public_bytes(serialization.Encoding.PEM))):
        path = folder / f"{name}.new"
        path.touch(mode=0o600)
        path.write_bytes(data)
        os.replace(path, folder / name)
