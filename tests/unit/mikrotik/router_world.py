"""Simulated routers for the tests of what asks routers: with customers, with TLS, with faults."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aaad.mikrotik.connection import Limits, RouterAccess, RouterConnection
from aaad.simulator.routeros import Router, RouterosServer

PASSWORD = "senha só do roteador"
QUICK = Limits(connect_s=2.0, silence_s=0.4, command_s=5.0)


def router(version: tuple[int, int] = (7, 20)) -> Router:
    made = Router(version, identity="bras-1", aaad=PASSWORD)
    made.table("/ip/pool").put({"name": "pppoe", "ranges": "100.64.0.10-100.64.0.99,100.64.4.0/24"})
    made.connect("ana", "100.64.0.10", caller="AA:BB:CC:00:00:01", session="0x81000001", pool="pppoe")
    made.connect("007", "100.64.0.11", caller="AA:BB:CC:00:00:02", session="0x81000002", pool="pppoe")
    made.connect("yes", "203.0.113.9", caller="AA:BB:CC:00:00:03", session="0x81000003")
    return made


def access(server: RouterosServer, **more: object) -> RouterAccess:
    values = {"address": server.address, "port": server.port, "user": "aaad", "password": PASSWORD, "is_tls": False}
    return RouterAccess(**{**values, **more})  # type: ignore[arg-type]


def connection(server: RouterosServer, limits: Limits = QUICK, **more: object) -> RouterConnection:
    return RouterConnection(access(server, **more), limits)


def certificate(folder: Path, address: str = "127.0.0.1") -> tuple[ssl.SSLContext, str, str]:
    """Return a server's context with a new certificate for this address, the certificate, and its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "router")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both = folder / f"{address}.pem"
    both.write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, pem.decode(), made.fingerprint(hashes.SHA256()).hex()
