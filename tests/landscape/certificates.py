"""A certificate authority of our own, and a certificate by it for this machine's loopback address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from landscape.processes import run


@dataclass(frozen=True, slots=True)
class Certificates:
    authority: Path
    certificate: Path
    key: Path


async def loopback_certificates(place: Path) -> Certificates:
    """Make both in a directory."""
    (place / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:pierone.example.org\n", encoding="ascii")
    for command in (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=Test-CA -addext keyUsage=critical,keyCertSign",
        "openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=whence",
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile san",
    ):
        await run(*command.split(), cwd=place)
    return Certificates(authority=place / "ca.pem", certificate=place / "server.pem", key=place / "server.key")
