"""A client of AWS in the name of a role: another one's connections and models, with keys of its own.

Opening a client costs milliseconds and a megabyte; a program that acts in a hundred accounts would open thousands. The
SDK signs a request with the credentials in its context, if there are some
(`aiobotocore.signers.AioRequestSigner.sign`).
"""

from __future__ import annotations

import copy
from typing import Any

from aiobotocore.credentials import AioCredentials


def signing_with(client: Any, keys: dict[str, str]) -> Any:
    """Return a client that makes its calls by an open one, signed with these keys. The open one alone is closed."""
    found = copy.copy(client)
    found.meta = copy.copy(client.meta)
    found.meta.events = _Signing(
        client.meta.events,
        AioCredentials(keys["aws_access_key_id"], keys["aws_secret_access_key"], keys["aws_session_token"]),
    )
    return found


class _Signing:
    """The events of a client, which put credentials into the context of every call."""

    def __init__(self, events: Any, credentials: AioCredentials) -> None:
        self._events = events
        self._credentials = credentials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)

    async def emit_until_response(self, name: str, **about: Any) -> Any:
        if name.startswith("before-call."):
            about["context"].setdefault("signing", {})["request_credentials"] = self._credentials
        return await self._events.emit_until_response(name, **about)
