"""Sessions of people in the console: begun after a sign-in, found by a secret that the browser holds, and ended.

The database stores a hash of that secret, and the token of the session sealed. A session therefore ends for every
replica at once, and neither a copy of the database nor a cookie alone reveals a token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

from whence_aggregator.callers.rows import counted, sealed_session
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.ports import Database, Overloaded
from whence_aggregator.queries.callers import (
    ADD_BROWSER_SESSION,
    BROWSER_SESSION,
    COUNT_BROWSER_SESSIONS,
    FORGET_BROWSER_SESSIONS,
    FORGET_FURTHER_SESSIONS,
    TAKE_BROWSER_SESSION,
    AddBrowserSessionParameters,
)
from whence_common.clock import Now, to_instant

SessionKind = Literal["session", "sign-in", "link"]
LINK_SECONDS = 300.0
SIGN_IN_SECONDS = 600.0
_PER_CALLER_MAX = 20
"""Sessions, or links, of one caller; a further one ends the one that would expire first."""
_SIGN_INS_MAX = 10_000
"""Sign-ins that have begun, in total: their callers are not known yet."""
_SIGN_INS_PER_ADDRESS_MAX = 200
"""Of them, those of one address, which an office may share."""
_SECRET_BYTES = 32
_SECRET_CHARACTERS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSession:
    """A session that is valid now. `secret` is what the browser holds."""

    secret: str
    content: Mapping[str, Any]
    until: datetime

    @property
    def token(self) -> str:
        """Return the token that the session asks the API with."""
        return str(self.content["token"])


class BrowserSessions:
    """Begins, finds and ends sessions; also sign-ins that have begun, and links that begin a session once."""

    def __init__(
        self, *, database: Database, seal: Seal, seconds_max: float, random_text: Callable[[int], str], now: Now
    ) -> None:
        self._database = database
        self._seal = seal
        self._seconds_max = seconds_max
        self._random_text = random_text
        self._now = now

    async def begin(self, token: str, *, caller: str, until: datetime | None) -> BrowserSession:
        """Begin a session of a caller, at most until its token expires; its secret is new."""
        return await self._add("session", {"token": token}, caller, self._ends(self._seconds_max, until))

    async def begin_link(self, token: str, *, caller: str, until: datetime | None) -> BrowserSession:
        """Begin what one opening of a link exchanges for a session, within five minutes."""
        ends = self._ends(LINK_SECONDS, until)
        return await self._add("link", {"token": token, "until": to_instant(until) if until else ""}, caller, ends)

    async def begin_sign_in(self, content: Mapping[str, Any], *, address: str) -> BrowserSession:
        """Remember a sign-in that continues at an issuer. Raises Overloaded when too many have begun.

        Further ones of a client's address end its own oldest ones, so that no client uses up the total.
        """
        begun = await self._database.fetch(COUNT_BROWSER_SESSIONS.bind({"kind": "sign-in"}))
        if counted(begun) >= _SIGN_INS_MAX:
            raise Overloaded(
                "sign-ins-busy", "too many sign-ins have begun: try again in a minute", retry_after_seconds=60.0
            )
        return await self._add("sign-in", content, f"address {address}", self._ends(SIGN_IN_SECONDS, None))

    async def find(self, secret: str) -> BrowserSession | None:
        """Return a session by its secret; None if there is none, or it has ended."""
        if not _is_secret(secret):
            return None
        rows = await self._database.fetch(BROWSER_SESSION.bind({"name": _name(secret), "kind": "session"}))
        return self._opened("session", secret, [sealed_session(row) for row in rows])

    async def take(self, kind: SessionKind, secret: str) -> BrowserSession | None:
        """End a session, and return what it was; a sign-in or a link is thereby used once. None as for `find`."""
        if not _is_secret(secret):
            return None
        async with self._database.transaction() as transaction:
            rows = await transaction.fetch(TAKE_BROWSER_SESSION.bind({"name": _name(secret), "kind": kind}))
        return self._opened(kind, secret, [sealed_session(row) for row in rows])

    async def _add(self, kind: SessionKind, content: Mapping[str, Any], caller: str, ends: datetime) -> BrowserSession:
        secret = self._random_text(_SECRET_BYTES)
        name = _name(secret)
        sealed = self._seal.seal({**content, "name": name, "kind": kind})
        row = AddBrowserSessionParameters(name=name, kind=kind, caller=caller, sealed=sealed, ends_at=to_instant(ends))
        now = to_instant(self._now())
        most = _SIGN_INS_PER_ADDRESS_MAX if kind == "sign-in" else _PER_CALLER_MAX
        await self._database.write(
            FORGET_BROWSER_SESSIONS.bind([{"now": now}]),
            ADD_BROWSER_SESSION.bind([row]),
            FORGET_FURTHER_SESSIONS.bind([{"caller": caller, "kind": kind, "most": most}]),
        )
        return BrowserSession(secret=secret, content=content, until=ends)

    def _opened(self, kind: SessionKind, secret: str, found: list[tuple[str, datetime]]) -> BrowserSession | None:
        for sealed, until in found:
            content = self._seal.open(sealed)
            fits = content is not None and (content.get("name"), content.get("kind")) == (_name(secret), kind)
            if content is not None and fits and until > self._now():
                return BrowserSession(secret=secret, content=content, until=until)
        return None

    def _ends(self, seconds: float, until: datetime | None) -> datetime:
        ends = self._now() + timedelta(seconds=seconds)
        return min(ends, until) if until is not None else ends


def csrf_token(secret: str) -> str:
    """Return what the forms of a session carry. It follows from the secret, and does not reveal it."""
    return sha256(f"csrf {secret}".encode()).hexdigest()


def _name(secret: str) -> str:
    return sha256(f"browser session {secret}".encode()).hexdigest()


def _is_secret(text: str) -> bool:
    return 0 < len(text) <= _SECRET_CHARACTERS_MAX and text.isascii() and text.isprintable()
