"""Token introspection (RFC 7662): whether an opaque token is active, and its claims."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.ports import SourceUnavailable
from whence_common.loose_json import loose

_ANSWER_BYTES_MAX = 64 * 1024
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
_TIMEOUT = aiohttp.ClientTimeout(total=5.0)


class OAuthIntrospection:
    """Queries an introspection endpoint by POST, authenticated as an OAuth client by HTTP Basic (RFC 6749, 2.3.1)."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str, client_id: str, secret: str) -> None:
        self._session = session
        self._url = url
        self._client_id = client_id
        self._secret = secret

    async def claims(self, token: str) -> Mapping[str, Any] | None:
        """Return the claims of an active token; None if it is not active.

        Raises SourceUnavailable, also if the server refuses this client's credentials. Its message never contains the
        token.
        """
        try:
            credentials = f"{quote(self._client_id, safe='')}:{quote(self._secret, safe='')}"
            headers = {
                "Authorization": "Basic " + base64.b64encode(credentials.encode()).decode("ascii"),
                "Accept": "application/json", "Accept-Encoding": "identity",
            }  # fmt: skip
            form = {"token": token, "token_type_hint": "access_token"}
            async with self._session.post(
                self._url, data=form, headers=headers, allow_redirects=False, timeout=_TIMEOUT
            ) as answer:
                if answer.status in (400, 401, 403):
                    message = f"the introspection server refuses client_id or its secret (HTTP {answer.status})"
                    raise SourceUnavailable("introspection-refused", message)
                if answer.status != 200:
                    message = f"the introspection server responds with HTTP {answer.status}"
                    raise SourceUnavailable("introspection-unavailable", message)
                stated = loose(await read_answer(answer, _ANSWER_BYTES_MAX) or b"")
        except _FAILURES as exc:
            message = f"the introspection server does not answer ({type(exc).__name__})"
            raise SourceUnavailable("introspection-unreachable", message) from exc
        if "active" not in stated:
            raise SourceUnavailable(
                "introspection-malformed", "the introspection server's response has no member active"
            )
        return stated if stated["active"] is True else None
