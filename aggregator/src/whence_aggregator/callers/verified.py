"""A cache of token checks by the token's digest, so that many requests of a client cost one check."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta

from whence_aggregator.callers.caller import Caller
from whence_common.clock import Now

KEPT_SECONDS = 60.0
"""How long a verified token is cached: a revoked token is accepted for at most this long."""
REFUSED_SECONDS = 10.0
"""How long an unknown token is cached, during which no other server is queried for it."""
_KEPT_MAX = 10_000


class VerifiedTokens:
    """Caches callers by the SHA-256 of their token; None marks a token that is not valid.

    Tokens themselves are not stored, except in `Caller.asks_with` for queries of the team service.
    """

    def __init__(self, now: Now) -> None:
        self._now = now
        self._kept: OrderedDict[bytes, tuple[datetime, Caller | None]] = OrderedDict()

    def find(self, token: str) -> tuple[bool, Caller | None]:
        """Return whether the result of a token's check is cached, and that result."""
        known = self._kept.get(_key(token))
        if known is None or known[0] <= self._now():
            return False, None
        return True, known[1]

    def keep(self, token: str, caller: Caller | None) -> None:
        now = self._now()
        until = now + timedelta(seconds=KEPT_SECONDS if caller is not None else REFUSED_SECONDS)
        if caller is not None and caller.until is not None:
            until = min(until, caller.until)
        key = _key(token)
        self._kept[key] = until, caller
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
