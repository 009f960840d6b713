from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from deploy.local.certificates import prepare_certificates

SERVICES = ["catalog", "gateway"]


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(n.value) for n in found}


def test_a_service_is_named_and_the_gateways_public_certificate_calls_nobody(tmp_path: Path):
    prepare_certificates(tmp_path, SERVICES, "shop.example.com")

    public = read(tmp_path / "gateway" / "public.pem")
    assert names(read(tmp_path / "catalog" / "tls.pem")) == {"catalog"}
    assert names(public) == {"localhost", "127.0.0.1", "shop.example.com"}
    uses = public.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_what_is_sound_stays(tmp_path: Path):
    prepare_certificates(tmp_path, SERVICES, "127.0.0.1")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*")}

    prepare_certificates(tmp_path, SERVICES, "127.0.0.1")

    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*")} == before
    assert {p.stat().st_mode & 0o777 for p in before} == {0o600}


def test_another_authority_signs_all_anew(tmp_path: Path):
    prepare_certificates(tmp_path, SERVICES, "127.0.0.1")
    (tmp_path / "ca" / "ca.pem").unlink()

    prepare_certificates(tmp_path, SERVICES, "127.0.0.1")

    authority = read(tmp_path / "ca" / "ca.pem")
    for path in [*tmp_path.glob("*/tls.pem"), tmp_path / "gateway" / "public.pem"]:
        read(path).verify_directly_issued_by(authority)
