"""The access token of a sign-in: kept, refreshed before it expires, and removed when the provider ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from whence_aggregator.openid.metadata import SignInClient
from whence_aggregator.openid.refusals import OAuthRefused
from whence_aggregator.openid.tokens import Tokens
from whence_aggregator.whence.login.cache import VERSION, TerminalSession, TokenCache
from whence_common.errors import RoadError

REFRESH_SECONDS = 60.0
"""How long before its expiry a token is refreshed; a token of a short life after three quarters of it."""
_CLOCK_SECONDS_MAX = 60.0
"""A clock that is further behind the time of the last refresh was set back: the times of the token are not usable."""


class Refreshing(Protocol):
    """The part of a provider that refreshes."""

    def refresh(self, session: TerminalSession) -> Tokens:
        """Use the refresh token. Raises OAuthRefused, ProviderUnreachable or RoadError."""


def new_session(server: str, client: SignInClient, tokens: Tokens, *, now: float) -> TerminalSession:
    """Return the sign-in that a token response begins."""
    refresh_at, expires_at = _times(tokens, now)
    return TerminalSession(
        version=VERSION, server=server, issuer=client.issuer, client_id=client.client_id, scopes=client.scopes,
        resource=client.resource, saved_at=now, refresh_at=refresh_at, expires_at=expires_at,
        access_token=tokens.access_token, refresh_token=tokens.refresh_token,
    )  # fmt: skip


def refreshed(session: TerminalSession, tokens: Tokens, *, now: float) -> TerminalSession:
    """Return the sign-in after a refresh; a response without refresh token leaves the old one valid (RFC 6749, 6)."""
    refresh_at, expires_at = _times(tokens, now)
    return replace(
        session, saved_at=now, refresh_at=refresh_at, expires_at=expires_at, access_token=tokens.access_token,
        refresh_token=tokens.refresh_token or session.refresh_token,
    )  # fmt: skip


def is_due(session: TerminalSession, now: float) -> bool:
    """Return whether the access token must be refreshed. One without a known expiry is used until it is refused."""
    if now < session.saved_at - _CLOCK_SECONDS_MAX:
        return True
    return session.refresh_at is not None and now >= session.refresh_at


def is_expired(session: TerminalSession, now: float) -> bool:
    if now < session.saved_at - _CLOCK_SECONDS_MAX:
        return True
    return session.expires_at is not None and now >= session.expires_at


class SignedIn:
    """The tokens of the person who signed in with `whence login`, for requests. `now` is seconds since 1970."""

    def __init__(self, cache: TokenCache, provider: Refreshing, *, now: Callable[[], float]) -> None:
        self._cache = cache
        self._provider = provider
        self._now = now

    def current(self) -> str | None:
        """Return a valid access token; None if nobody has signed in. Raises WhenceError."""
        session = self._cache.read()
        if session is None:
            return None
        return (self._refresh(session) if is_due(session, self._now()) else session).access_token

    def after_refusal(self, refused: str) -> str | None:
        """Return another token than the one that the server refused; None if there is none. Raises WhenceError."""
        session = self._cache.read()
        if session is None or session.access_token != refused:
            return session.access_token if session is not None else None
        if session.refresh_token is None:
            return None
        found = self._refresh(session).access_token
        return found if found != refused else None

    def _refresh(self, stale: TerminalSession) -> TerminalSession:
        """Refresh once, however many commands do so at the same time: a refresh token may be used only once."""
        with self._cache.locked():
            session = self._cache.read()
            if session is None:
                raise RoadError("signed-out", "another command has signed out", fix="run whence login", retryable=False)
            if session.access_token != stale.access_token:
                return session  # another command refreshed it, or signed in anew
            if session.refresh_token is None:
                return self._unless_expired(session)
            try:
                self._cache.write(
                    session
                )  # first: a refresh token that is used and whose successor is not kept is lost
                tokens = self._provider.refresh(session)
            except OAuthRefused as exc:
                if exc.error != "invalid_grant":
                    raise
                self._cache.remove()
                raise RoadError(
                    "sign-in-ended", f"{session.issuer} has ended the sign-in at {session.server}",
                    fix="run whence login", retryable=False,
                ) from exc  # fmt: skip
            except RoadError:
                if is_expired(session, self._now()):
                    raise
                return session
            renewed = refreshed(session, tokens, now=self._now())
            self._cache.write(renewed)
            return renewed

    def _unless_expired(self, session: TerminalSession) -> TerminalSession:
        if not is_expired(session, self._now()):
            return session
        raise RoadError(
            "sign-in-expired", f"the sign-in at {session.server} has expired; {session.issuer} issued no refresh token",
            fix="run whence login; the scope offline_access requests a refresh token", retryable=False,
        )  # fmt: skip


def _times(tokens: Tokens, now: float) -> tuple[float | None, float | None]:
    """Return when to refresh, and the expiry. By `expires_in`, so that the provider's clock does not matter."""
    valid = tokens.valid_seconds
    if valid is None:
        return None, None
    return now + max(valid - REFRESH_SECONDS, valid * 0.75), now + valid
