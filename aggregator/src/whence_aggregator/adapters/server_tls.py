"""The server's certificate, which may be replaced while connections are open: those go on with the one they have."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509

from whence_common.settings_file import SettingsInvalid

_CERTIFICATE_BYTES_MAX = 1024 * 1024


class ServerTls:
    """Certificate and key. `context` is what a listener is given, once."""

    def __init__(self, certificate: str, key: str) -> None:
        """Load the files. Raises SettingsInvalid."""
        self.context, self._until = _load(certificate, key)
        self._current = self.context
        self.context.sni_callback = self._choose

    @property
    def until(self) -> datetime:
        """When the certificate expires that new connections are shown."""
        return self._until

    def prepare(self, certificate: str, key: str) -> Callable[[], None]:
        """Load other files, or the same again; return what makes them count. Raises SettingsInvalid."""
        context, until = _load(certificate, key)

        def apply() -> None:
            self._current, self._until = context, until

        return apply

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext) -> None:
        """Give a handshake the current certificate; called for each, also where the client names no server."""
        connection.context = self._current


def _load(certificate: str, key: str) -> tuple[ssl.SSLContext, datetime]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        with Path(certificate).open("rb") as stream:
            chain = x509.load_pem_x509_certificates(stream.read(_CERTIFICATE_BYTES_MAX))
    except (OSError, ValueError) as exc:
        raise SettingsInvalid(
            "tls-unusable",
            f"tls_certificate_file {certificate} and tls_key_file {key} cannot be used: {_said(exc)}",
            fix="both must be PEM and readable by the service, the key not encrypted and that of the first certificate",
        ) from exc
    return context, chain[0].not_valid_after_utc


def _no_password() -> str:
    """Refuse an encrypted key: OpenSSL would ask at a terminal."""
    raise ValueError("the key is encrypted")


def _said(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError):
        return exc.reason or "not PEM"
    return exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)
