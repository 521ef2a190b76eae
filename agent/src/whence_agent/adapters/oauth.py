"""An OAuth 2.0 token endpoint: password grant and client credentials (RFC 6749), and token exchange (RFC 8693)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote

import aiohttp
import msgspec

from whence_agent.adapters.bodies import ResponseTooLarge, read_bounded
from whence_agent.adapters.by_proxy import reason
from whence_agent.ports import AccessToken, SecretUnavailable
from whence_common.backoff import retry_after_seconds
from whence_common.clock import utc_now
from whence_common.errors import one_line

_ANSWER_BYTES_MAX = 64 * 1024
_REQUEST_SECONDS_MAX = 10.0
_EXPIRES_SECONDS_DEFAULT = 300.0
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant
_PASSING = ("server_error", "temporarily_unavailable", "slow_down")
"""Transient error codes (RFC 6749, 4.1.2.1; RFC 8628, 3.5); providers use them here too."""


class _Answer(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float | str | None = None


class OAuthIssuer:
    """Posts a form with the client's Basic authentication. Redirects are not followed: they would leak secrets."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str | None) -> None:
        self._session = session
        self._url = url

    async def password_grant(self, user: Mapping[str, str], client: Mapping[str, str]) -> AccessToken:
        form = {
            "grant_type": "password",
            "username": user.get("application_username", ""),
            "password": user.get("application_password", ""),
            "scope": "uid",
        }
        return await self._post(form, client)

    async def client_credentials(self, client: Mapping[str, str], scopes: tuple[str, ...]) -> AccessToken:
        form = {"grant_type": "client_credentials"}
        return await self._post({**form, "scope": " ".join(scopes)} if scopes else form, client)

    async def exchange(self, subject_token: str, *, client_id: str, scopes: tuple[str, ...]) -> AccessToken:
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": subject_token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "client_id": client_id,
        }
        return await self._post({**form, "scope": " ".join(scopes)} if scopes else form, None)

    async def _post(self, form: Mapping[str, str], client: Mapping[str, str] | None) -> AccessToken:
        """Post a form, with the client's Basic authentication if there is a client."""
        if self._url is None:
            fix = "have the platform set oauth_token_url"
            raise SecretUnavailable("token-endpoint-unset", "no token endpoint is configured", retryable=False, fix=fix)
        headers = {"Accept": "application/json", **(_basic(client) if client is not None else {})}
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX)
        try:
            async with self._session.post(
                self._url, data=form, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                status, content = answer.status, await read_bounded(answer, _ANSWER_BYTES_MAX)
                wait_seconds = retry_after_seconds(answer.headers.get("Retry-After", ""), now=utc_now())
        except (aiohttp.ClientError, TimeoutError, OSError, ResponseTooLarge) as exc:
            message = f"the token endpoint is unreachable ({reason(exc)})"
            raise SecretUnavailable("token-endpoint-unreachable", message) from exc
        if status != 200:
            word = _error(content)
            raise SecretUnavailable(
                "token-refused", f"the token endpoint returned HTTP {status}: {word or 'no OAuth error'}",
                retryable=not word or word in _PASSING or status >= 500 or status == 429,
                retry_after_seconds=wait_seconds,
                fix="check the client and its scopes at the provider"
                if word
                else "check the proxies and firewalls before it",
            )  # fmt: skip
        return _token(content)


def _basic(client: Mapping[str, str]) -> dict[str, str]:
    pair = f"{quote(client.get('client_id') or '', safe='')}:{quote(client.get('client_secret') or '', safe='')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _token(content: bytes) -> AccessToken:
    try:
        answer = msgspec.json.decode(content, type=_Answer)
        seconds = float(answer.expires_in) if answer.expires_in is not None else _EXPIRES_SECONDS_DEFAULT
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as exc:
        raise SecretUnavailable("token-malformed", "the token endpoint's response has no token") from exc
    if not re.fullmatch(r"[\x21-\x7e]{1,16384}", answer.access_token) or not 0 < seconds < 10**9:
        raise SecretUnavailable("token-malformed", "the token endpoint's response has no valid token")
    return AccessToken(token=answer.access_token, expires_seconds=seconds)


def _error(content: bytes) -> str:
    """Return RFC 6749's error code, or an empty text; descriptions are not returned, since they may quote secrets."""
    try:
        word = msgspec.json.decode(content, type=dict[str, object]).get("error")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return one_line(word, 60) if isinstance(word, str) else ""
