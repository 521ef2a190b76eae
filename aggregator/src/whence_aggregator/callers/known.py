"""The callers of the tokens file, which is reloaded as a whole when it changes, and the last use of each token."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.tokens import CallerToken
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.queries.callers import NOTE_TOKEN_USE
from whence_common.clock import Now, to_instant
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

EXPIRES_SOON_DAYS = 14
USES_SECONDS = 60.0
"""The resolution of the last use of a token, and the shortest interval between writes of it."""


class Callers:
    """Looks up callers by the hash of their token. Expired tokens are not found."""

    def __init__(self, tokens: Mapping[str, CallerToken], *, now: Now) -> None:
        self._tokens = tokens
        self._now = now
        self._used: set[str] = set()

    def get(self, token_hash: str, /) -> Caller | None:
        """Return the caller of a token and count its use; None if the token is unknown or expired."""
        token = self._tokens.get(token_hash)
        if token is None or (token.until is not None and token.is_expired(self._now())):
            return None
        self._used.add(token_hash)  # bounded: only hashes of the file are added
        return token.caller

    def replace(self, tokens: Mapping[str, CallerToken]) -> None:
        """Replace all tokens."""
        self._tokens = tokens

    def take_used(self) -> set[str]:
        """Return the hashes of the tokens used since the previous call."""
        used, self._used = self._used, set()
        return used

    def put_back(self, used: set[str]) -> None:
        """Mark tokens as used again, after their uses could not be stored."""
        self._used |= used

    def counts(self) -> Mapping[str, int]:
        """Count tokens that are valid, that expire within two weeks (also valid), and that have expired."""
        now = self._now()
        expired = sum(token.is_expired(now) for token in self._tokens.values())
        soon = sum(token.is_expired(now + timedelta(days=EXPIRES_SOON_DAYS)) for token in self._tokens.values())
        return {"valid": len(self._tokens) - expired, "expiring": soon - expired, "expired": expired}

    def __len__(self) -> int:
        return len(self._tokens)

    def until(self) -> datetime | None:
        """Return the earliest expiry of the valid tokens; None if none of them expires."""
        now = self._now()
        times = [one.until for one in self._tokens.values() if one.until is not None and not one.is_expired(now)]
        return min(times, default=None)


class TokenUses:
    """Stores the last use of each token: at most one write per minute, and only if a token was used."""

    def __init__(self, *, database: Database, callers: Callers, now: Now) -> None:
        self._database = database
        self._callers = callers
        self._now = now

    async def run(self) -> None:
        """Store uses until cancelled."""
        while True:
            await pause(USES_SECONDS)
            await self.keep()

    async def keep(self) -> None:
        """Store the uses since the last call; if the database is unavailable, with the next call, as of that time."""
        used = self._callers.take_used()
        if not used:
            return
        used_at = to_instant(self._now())
        try:
            await self._database.write(
                NOTE_TOKEN_USE.bind([{"token": one, "used_at": used_at} for one in sorted(used)])
            )
        except StorageUnavailable as exc:
            self._callers.put_back(used)
            log.warning("the last uses of tokens are not stored yet", extra=fields(code=exc.code, message=exc.message))
