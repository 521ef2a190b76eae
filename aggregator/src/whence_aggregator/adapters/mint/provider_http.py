"""HTTP to one provider of credentials: JSON within bounds, at a checked address, without redirects.

What a provider answers is untrusted. No message contains an answer's body, but for a short reason without secrets.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from yarl import URL

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.mint.ports import ProviderNotReached, ProviderRefused, ProviderThrottled
from whence_aggregator.ports import SourceUnavailable
from whence_common.backoff import retry_after_seconds
from whence_common.clock import Now
from whence_common.errors import one_line
from whence_common.registry_address import REDIRECTS, Lookup, is_usable_url, kind_of
from whence_common.registry_redirects import Pinned, as_named, pinned
from whence_common.settings_file import SettingsInvalid

ANSWER_BYTES_MAX = 64 * 1024
SECONDS_MAX = 20.0
"""For one answer with its body."""
THROTTLED_SECONDS = 90.0
"""The pause after a 429 without Retry-After, as mint's worker made it."""
_THROTTLED_SECONDS_MAX = 3_600.0
_REASON_CHARACTERS_MAX = 160
_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json\b")
_CODES = frozenset({
    "access_denied", "insufficient_scope", "invalid_client", "invalid_client_metadata", "invalid_grant",
    "invalid_redirect_uri", "invalid_request", "invalid_scope", "invalid_software_statement", "invalid_token",
    "unapproved_software_statement", "unauthorized_client", "unsupported_grant_type",
})  # fmt: skip
"""RFC 6749, 5.2; RFC 6750, 3.1; RFC 7591, 3.2.2."""
_MAYBE_SECRET = re.compile(r"\S{16,}")
"""A provider may repeat a secret in its reason, and one that it has just made is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPlace:
    """Where a provider is. `name` is its name in the settings and in messages."""

    name: str
    base_url: str
    private_addresses: bool = False
    """Whether its host may have an address that is not public."""
    seconds_max: float = SECONDS_MAX

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if not is_usable_url(self.base_url) or parts.query or parts.fragment:
            raise SettingsInvalid("provider-url", f"the URL of the provider {self.name} is not usable")
        if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            raise SettingsInvalid(
                "provider-url", f"the provider {self.name} is reached without TLS, and it sends secrets",
                fix="use https://",
            )  # fmt: skip

    def url(self, path: str) -> str:
        return self.base_url.rstrip("/") + path

    def is_own(self, url: str) -> bool:
        """Return whether a URL from an answer is on the provider's own origin."""
        return is_usable_url(url) and _origin(url) == _origin(self.base_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAnswer:
    """An answer below 500 that is no redirect and no 429. `document` is None without a body."""

    status: int
    document: Any = field(repr=False)
    reason: str = ""
    """Why a request was refused, as the provider states it, without what may be a secret."""


class ProviderHttp:
    """Sends requests to one provider. Raises ProviderRefused, ProviderThrottled, SourceUnavailable."""

    def __init__(self, *, session: aiohttp.ClientSession, lookup: Lookup, place: ProviderPlace, now: Now) -> None:
        self.place = place
        self._session = session
        self._lookup = lookup
        self._now = now

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: Any = None,
        form: Mapping[str, str] | None = None, secrets: Sequence[str] = (), bytes_max: int = ANSWER_BYTES_MAX,
    ) -> ProviderAnswer:  # fmt: skip
        """Send a request to a URL of the place. `secrets` are those in it: no message repeats them."""
        assert self.place.is_own(url), "the caller has checked where it sends secrets"
        content, kind = _content(body, form)
        sent = {**headers, "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "whence"}
        sent |= {"Content-Type": kind} if kind else {}
        try:
            async with asyncio.timeout(self.place.seconds_max):
                to = await self._target(url)
                async with self._session.request(
                    method, URL(to.url, encoded=True), data=content, headers={**sent, "Host": to.host},
                    allow_redirects=False, server_hostname=to.server_hostname,
                    timeout=aiohttp.ClientTimeout(total=self.place.seconds_max),
                ) as answer:  # fmt: skip
                    self._check_status(answer)
                    got = await read_answer(answer, bytes_max)
        except aiohttp.ClientConnectorError as exc:
            message = f"{self.place.name} does not answer ({type(exc).__name__})"
            raise ProviderNotReached("provider-unreachable", message) from exc
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            what = "took too long" if isinstance(exc, TimeoutError) else f"does not answer ({type(exc).__name__})"
            raise SourceUnavailable("provider-unreachable", f"{self.place.name} {what}") from exc
        if answer.status >= 400:
            return ProviderAnswer(status=answer.status, document=None, reason=_reason(got or b"", secrets))
        return ProviderAnswer(status=answer.status, document=self._document(answer, got, bytes_max))

    def refused(self, code: str, what: str, *, fix: str = "") -> ProviderRefused:
        return ProviderRefused(code, f"{self.place.name} {what}", fix=fix)

    def refusal(self, what: str, answer: ProviderAnswer, *, fix: str = "") -> ProviderRefused:
        """Return the error for a request that was not answered as it must be. `what` was requested."""
        reason = f": {answer.reason}" if answer.reason else ""
        return self.refused("provider-refused", f"refuses to {what} (HTTP {answer.status}){reason}", fix=fix)

    async def _target(self, url: str) -> Pinned:
        """Return where to connect: the address that was checked, since a later lookup may differ."""
        if self.place.private_addresses:
            return as_named(url)
        addresses = await self._lookup(urlsplit(url).hostname or "")
        kinds = {kind_of(one) for one in addresses} - {"public"}
        if kinds or not addresses:
            raise ProviderNotReached(
                "provider-private",
                f"{self.place.name} has a {min(kinds) if kinds else 'missing'} address",
                fix=f"if that is intended, set private_addresses: true for {self.place.name}",
            )
        return pinned(url, addresses[0])

    def _check_status(self, answer: aiohttp.ClientResponse) -> None:
        status = answer.status
        stated = retry_after_seconds(answer.headers.get("Retry-After", ""), now=self._now())
        if status == 429:
            left = min(THROTTLED_SECONDS if stated is None else max(stated, 1.0), _THROTTLED_SECONDS_MAX)
            message = f"{self.place.name} limits requests; it is asked again in {left:.0f} seconds"
            raise ProviderThrottled("provider-throttled", message, retry_after_seconds=left)
        if status >= 500 or status == 408:
            later = None if stated is None else min(stated, _THROTTLED_SECONDS_MAX)
            message = f"{self.place.name} fails with HTTP {status}"
            # RFC 9110, 15.6.4: with 503 the request was not handled; after another error it may have been
            error = ProviderNotReached if status == 503 else SourceUnavailable
            raise error("provider-unavailable", message, retry_after_seconds=later)
        if status in REDIRECTS:
            raise self.refused(
                "provider-redirect", "redirects, which is not followed", fix="write its new URL in the settings"
            )

    def _document(self, answer: aiohttp.ClientResponse, content: bytes | None, bytes_max: int) -> Any:
        """Return the document of a good answer. Raises ProviderRefused."""
        if content is None:
            raise self.refused("provider-too-large", f"answers with more than {bytes_max} bytes")
        if not content:
            return None
        kind = answer.headers.get("Content-Type", "").lower()
        if "html" in kind or content.lstrip()[:1] == b"<":
            raise self.refused(
                "provider-page", "answers with a page for people, perhaps its sign-in, and not with JSON",
                fix=f"check the URL of {self.place.name}",
            )  # fmt: skip
        if not _JSON.match(kind) or answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self.refused("provider-not-json", "answers with something else than plain JSON")
        try:
            msgspec.json.decode(content)  # refuses NaN and lone surrogates
            return json.loads(content, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError, msgspec.DecodeError):
            message = "answers with JSON that is malformed, nested too deep, or has a name twice"
            raise self.refused("provider-not-json", message) from None  # the cause may quote the answer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(name: str, secret: str, *, form_encoded: bool) -> dict[str, str]:
    """Return HTTP Basic for an OAuth client. RFC 6749, 2.3.1, encodes both as a form; python-tokens does not."""
    pair = f"{quote(name, safe='')}:{quote(secret, safe='')}" if form_encoded else f"{name}:{secret}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}


def segment(text: str) -> str:
    """Return text as one segment of a path; a segment of dots would name another resource."""
    assert text.strip("."), "empty and dots are refused where values are parsed"
    return quote(text, safe="")


def _content(body: Any, form: Mapping[str, str] | None) -> tuple[bytes | None, str]:
    if form is not None:
        return urlencode(form).encode("ascii"), "application/x-www-form-urlencoded"
    return (json.dumps(body).encode(), "application/json") if body is not None else (None, "")


def _reason(content: bytes, secrets: Sequence[str]) -> str:
    """Return a provider's reason: OAuth's `error` and `error_description`, or Keycloak's `errorMessage`."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    names = ("error", "error_description", "errorMessage")
    found = [document.get(name) for name in names] if isinstance(document, dict) else []
    text = ", ".join(one for one in found if isinstance(one, str))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "…")
    return one_line(_MAYBE_SECRET.sub(_hidden, text), _REASON_CHARACTERS_MAX)


def _hidden(found: re.Match[str]) -> str:
    return found[0] if found[0].rstrip(",") in _CODES else "…"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate name")
    return found


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
