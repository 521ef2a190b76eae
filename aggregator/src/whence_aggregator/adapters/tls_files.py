"""A certificate and its private key from files: loaded for a server, and checked for its operator."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from whence_common.clock import to_instant
from whence_common.settings_file import SettingsInvalid

CERTIFICATE, KEY = "tls_certificate_file", "tls_key_file"
SOON = timedelta(days=30)
_FILE_BYTES_MAX = 1024 * 1024
_GRANT = (
    "let the service's user read it: put it into /etc/whence/credentials and refer to it as "
    "${CREDENTIALS_DIRECTORY}/whence_FILE, or correct its owner and mode (ls -l)"
)


def load_tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Load certificate and key for a server. Raises SettingsInvalid."""
    chain, private = read_tls_file(CERTIFICATE, certificate), read_tls_file(KEY, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")  # else OpenSSL asks on the terminal
    except (OSError, ssl.SSLError, ValueError) as exc:
        _pair(chain, private, certificate, key)
        raise SettingsInvalid("tls-unusable", f"{CERTIFICATE}, {KEY}: OpenSSL cannot load them: {exc}") from exc
    return context


def not_after(certificate: str) -> datetime:
    """Return when the server's certificate expires. Raises SettingsInvalid."""
    return _chain(read_tls_file(CERTIFICATE, certificate), certificate)[0].not_valid_after_utc


def expiry(certificate: str, *, now: datetime) -> Iterator[tuple[bool, str, str]]:
    """Yield problems of a certificate's validity: whether it is an error, what is wrong, what to do."""
    leaf = _chain(read_tls_file(CERTIFICATE, certificate), certificate)[0]
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if ends <= now:
        yield True, f"{CERTIFICATE}: {certificate} expired at {to_instant(ends)}: no client accepts it", "renew it"
    elif begins > now:
        fix = "check the clock of this machine"
        yield True, f"{CERTIFICATE}: {certificate} is not valid before {to_instant(begins)}", fix
    elif ends - now < SOON:
        yield False, f"{CERTIFICATE}: {certificate} expires in {(ends - now).days} days, {to_instant(ends)}", "renew it"


def read_tls_file(setting: str, name: str) -> bytes:
    """Read one of the two files. Raises SettingsInvalid."""
    try:
        with Path(name).open("rb") as stream:
            return stream.read(_FILE_BYTES_MAX)
    except OSError as exc:
        fix = _GRANT if isinstance(exc, PermissionError) else "correct the path"
        raise SettingsInvalid("tls-unreadable", f"{setting}: {name} cannot be read: {exc.strerror}", fix=fix) from exc


def _chain(content: bytes, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as exc:
        fix = "write PEM: the server's certificate first, then the intermediate certificates"
        message = f"{CERTIFICATE}: {name} does not contain a certificate in PEM"
        raise SettingsInvalid("tls-certificate", message, fix=fix) from exc


def _private(content: bytes, name: str) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(content, password=None)
    except TypeError as exc:
        message = f"{KEY}: {name} contains a key with a password, which the server cannot ask for"
        fix = "remove the password: openssl pkey -in FILE -out NEW"
        raise SettingsInvalid("tls-key-encrypted", message, fix=fix) from exc
    except ValueError as exc:
        message = f"{KEY}: {name} does not contain a private key in PEM"
        fix = "write PEM, which begins with -----BEGIN PRIVATE KEY-----"
        raise SettingsInvalid("tls-key", message, fix=fix) from exc


def _pair(chain: bytes, private: bytes, certificate: str, key: str) -> None:
    """Raise SettingsInvalid if one of the two is unusable, or they do not belong together."""
    leaf = _chain(chain, certificate)[0]
    if leaf.public_key() != _private(private, key).public_key():
        message = f"{KEY}: {key} is not the key of the certificate in {certificate}"
        fix = "put the server's certificate first in its file, and renew both files together"
        raise SettingsInvalid("tls-mismatch", message, fix=fix)
