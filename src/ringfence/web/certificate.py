"""A self-signed certificate on request: enough to encrypt, for who has no other yet; browsers will ask once."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from pathlib import Path
from typing import Final

from ringfence.errors import RefusedError, RingfenceError
from ringfence.own import own_addresses
from ringfence.settings import Settings

LASTS: Final = datetime.timedelta(days=825)
FOLDER: Final = Path("/etc/ringfence")


def make_certificate(settings: Settings, name: str) -> int:
    """Write certificate and key where the settings say (else to /etc/ringfence); returns the exit code.

    Never overwrites. Raises RingfenceError.
    """
    certificate = settings.web.certificate or FOLDER / "web-certificate.pem"
    key = settings.web.key or FOLDER / "web-key.pem"
    for path in (certificate, key):
        if path.exists():
            raise RefusedError(f"{path}: is there already; move it away first")
    host = name or socket.getfqdn()
    cert_pem, key_pem = self_signed(host, sorted(own_addresses()), datetime.datetime.now(datetime.UTC))
    try:
        certificate.parent.mkdir(parents=True, exist_ok=True)
        _write(key, key_pem, 0o600)
        _write(certificate, cert_pem, 0o644)
    except OSError as error:
        raise RingfenceError(f"{certificate.parent}: can't be written: {error.strerror}") from error
    print(f"wrote {certificate} and {key} for {host}, valid for {LASTS.days} days")
    if settings.web.certificate is None:
        print(f'to use it, put into the settings:\n[web]\ncertificate = "{certificate}"\nkey = "{key}"')
    return 0


def self_signed(host: str, addresses: list[str], now: datetime.datetime) -> tuple[bytes, bytes]:
    """A certificate and its key (PEM) for `host`, localhost and `addresses`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in dict.fromkeys((host, "localhost"))]
    every = dict.fromkeys(("127.0.0.1", "::1", *addresses))
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in every]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM), private


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
