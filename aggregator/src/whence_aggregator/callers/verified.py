"""Tokens that were found good a moment ago, by their digest, so that a client's many requests cost one check."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta

from whence_aggregator.callers.caller import Caller
from whence_common.clock import Now

KEPT_SECONDS = 60.0
"""For how long a token that its issuer revoked may still be good here."""
REFUSED_SECONDS = 10.0
"""For how long one that another server does not know is not asked about again."""
_KEPT_MAX = 10_000


class VerifiedTokens:
    """Callers by their token's SHA-256; None is a token that is known not to be valid.

    No token is kept but inside a caller for whom the team service is asked.
    """

    def __init__(self, now: Now) -> None:
        self._now = now
        self._kept: OrderedDict[bytes, tuple[datetime, Caller | None]] = OrderedDict()

    def find(self, token: str) -> tuple[bool, Caller | None]:
        """Return whether a token's answer is known, and the answer."""
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
