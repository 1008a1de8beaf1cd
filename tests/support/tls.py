"""A certificate authority of the tests, and servers that speak TLS with its certificates."""

from __future__ import annotations

import ipaddress
import socket
import socketserver
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from support.proxy import Server, relay

if TYPE_CHECKING:
    from pathlib import Path


class Authority:
    """A certificate authority.

    Args:
        folder: Where its files are written.
        name: The name in its certificate.

    Attributes:
        bundle: A file with the certificate of the authority.
    """

    def __init__(self, folder: Path, name: str = "an authority of the tests") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        builder = _certificate(self._name, self._name, self._key.public_key())
        certificate = builder.add_extension(basic, critical=True).sign(self._key, hashes.SHA256())
        self.bundle = folder / "authority.pem"
        self.bundle.write_bytes(certificate.public_bytes(Encoding.PEM))

    def context(self, *hosts: str, days: int = 2) -> ssl.SSLContext:
        """Return what a server of these hosts needs.

        Args:
            hosts: Names and IP addresses.
            days: In how many days the certificate expires; in the past if negative.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = _certificate(_name(hosts[0]), self._name, key.public_key(), days)
        certificate = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        file = self._folder / f"{hosts[0]}{days}.pem"
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def indexed(self, folder: Path) -> Path:
        """Return a new folder in which OpenSSL finds the certificate of the authority."""
        indexed = folder / "indexed"
        indexed.mkdir()
        (indexed / "authority.pem").write_bytes(self.bundle.read_bytes())
        subprocess.run(["openssl", "rehash", str(indexed)], check=True)
        return indexed


class TlsServer(Server):
    """A server that passes what it decrypts to another port of this computer.

    Args:
        context: The server's certificate.
        port: The port of the plain server.
    """

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        super().__init__(_Decryption)
        self.context, self.plain_port = context, port


class _Decryption(socketserver.BaseRequestHandler):
    server: TlsServer

    def handle(self) -> None:
        with self.server.context.wrap_socket(self.request, server_side=True) as client:
            relay(client, socket.create_connection(("127.0.0.1", self.server.plain_port)))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 2
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
    )
