"""The server's certificate, which may be replaced while connections are open: they keep the one they have."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime

from whence_aggregator.adapters.tls_files import load_tls_context, not_after


class ServerTls:
    """Certificate and key. `context` is passed to a listener once."""

    def __init__(self, certificate: str, key: str) -> None:
        """Load the files. Raises SettingsInvalid."""
        self.context, self._until = _load(certificate, key)
        self._current = self.context
        self.context.sni_callback = self._choose

    @property
    def until(self) -> datetime:
        """When the certificate of new connections expires."""
        return self._until

    def prepare(self, certificate: str, key: str) -> Callable[[], None]:
        """Load other files, or the same again; return the function that applies them. Raises SettingsInvalid."""
        context, until = _load(certificate, key)

        def apply() -> None:
            self._current, self._until = context, until

        return apply

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext) -> None:
        """Set the current certificate for a handshake; called for each, even if the client names no server."""
        connection.context = self._current


def _load(certificate: str, key: str) -> tuple[ssl.SSLContext, datetime]:
    return load_tls_context(certificate, key), not_after(certificate)
