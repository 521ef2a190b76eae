"""Challenges for enrolment: random, single-use, short-lived, and authenticated by the aggregator's MAC.

An issued challenge is not stored, so unauthenticated requests write nothing and use up nothing that others need. A
redeemed one is stored until it expires, for all replicas.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from datetime import timedelta

from whence_aggregator.ports import Database, Unauthenticated
from whence_aggregator.queries.agents import FORGET_CHALLENGES, REDEEM_CHALLENGE
from whence_common.clock import Now, from_millis, to_instant, to_millis

CHALLENGE_SECONDS = 120
_RANDOM_BYTES = 24
_CHARACTERS_MAX = 200


class Challenges:
    """Makes and redeems challenges. All replicas share `secret`."""

    def __init__(
        self, *, database: Database, secret: bytes, audience: str, now: Now, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._database = database
        self._key = hmac.digest(secret, f"whence-challenge-v1\n{audience}".encode(), "sha256")
        self._now = now
        self._random_bytes = random_bytes

    def make(self) -> tuple[str, str]:
        """Return a new challenge, `RANDOM.MILLISECONDS.MAC`, and the instant at which it expires."""
        expires_at = to_millis(self._now() + timedelta(seconds=CHALLENGE_SECONDS))
        random = base64.urlsafe_b64encode(self._random_bytes(_RANDOM_BYTES)).decode("ascii")
        stated = f"{random}.{expires_at}"
        return f"{stated}.{self._mac(stated)}", from_millis(expires_at)

    def check(self, challenge: str) -> None:
        """Raise Unauthenticated unless an aggregator made the challenge and it has not expired. Reads no database."""
        self._expires_at(challenge)

    async def redeem(self, challenge: str) -> None:
        """Redeem a challenge. Raises Unauthenticated when it was redeemed before: of concurrent calls, one succeeds."""
        expires_at = self._expires_at(challenge)
        async with self._database.transaction() as transaction:
            await transaction.execute(FORGET_CHALLENGES.bind([{"now": to_instant(self._now())}]))
            taken = await transaction.fetch(
                REDEEM_CHALLENGE.bind({"nonce": challenge, "expires_at": from_millis(expires_at)})
            )
        if len(taken) != 1:
            raise _unknown()

    def _expires_at(self, challenge: str) -> int:
        stated, _, mac = challenge.rpartition(".")
        known = len(challenge) <= _CHARACTERS_MAX and challenge.isascii()
        if not known or not hmac.compare_digest(self._mac(stated), mac):
            raise _unknown()
        expires_at = int(stated.rpartition(".")[2])
        if expires_at <= to_millis(self._now()):
            raise _unknown()
        return expires_at

    def _mac(self, stated: str) -> str:
        return hmac.digest(self._key, stated.encode(), "sha256").hex()


def _unknown() -> Unauthenticated:
    return Unauthenticated("challenge-unknown", "the challenge is unknown, used or too old", fix="request a new one")
