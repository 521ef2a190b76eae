"""A client of AWS in the name of a role: another one's connections and models, with keys of its own.

Opening a client costs milliseconds and a megabyte; a program that acts in a hundred accounts would open thousands. The
SDK signs a request with the credentials in its context, if there are some (`aiobotocore.signers.AioRequestSigner`).
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from whence_common.aws_errors import AwsError
from whence_common.clock import utc_now

_ROLE = "whence_role"
_RENEWED = "whence_renewed"
Keys = Callable[[], Awaitable[Any]]
"""Returns the newest keys, as the SDK takes them."""


@dataclass(frozen=True, slots=True)
class _Role:
    keys: Keys
    drop: Callable[[object], None]


def client_of_role(client: Any, keys: Keys, drop: Callable[[object], None]) -> Any:
    """Return a client that makes its calls by an open one, in the name of a role. The open one alone is closed.

    The open one was given to `sign_as_roles`. `drop` is called with keys that AWS refuses because they have expired.
    """
    found = copy.copy(client)
    found.meta = copy.copy(client.meta)
    found.meta.events = _Events(client.meta.events, _Role(keys, drop))
    return found


def sign_as_roles(client: Any) -> None:
    """Have each request of a role signed with the role's newest keys, and sent again if they have expired."""

    async def sign(request: Any, **_: Any) -> None:
        role = request.context.get(_ROLE)
        if role is not None:
            request.context.setdefault("signing", {})["request_credentials"] = await role.keys()

    async def renew(*, response: Any, request_dict: dict[str, Any], **_: Any) -> float | None:
        """Return 0 for a request to repeat with new keys, None for any other."""
        context = request_dict["context"]
        role = context.get(_ROLE)
        if role is None or response is None or "Error" not in response[1] or context.get(_RENEWED):
            return None
        if not AwsError.of_sdk(response[1], now=utc_now()).is_expired:
            return None
        context[_RENEWED] = True
        role.drop(context.get("signing", {}).get("request_credentials"))
        return 0.0

    client.meta.events.register("before-sign", sign)
    client.meta.events.register("needs-retry", renew)


class _Events:
    """The events of a client, which put a role into the context of every call."""

    def __init__(self, events: Any, role: _Role) -> None:
        self._events = events
        self._role = role

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)

    async def emit_until_response(self, name: str, **about: Any) -> Any:
        if name.startswith("before-call."):
            about["context"][_ROLE] = self._role
        return await self._events.emit_until_response(name, **about)
