"""Sessions of CI jobs. A job exchanges its own token once for a session token, short-lived and valid for many requests.

A job's own token is not bound to a presenter, and every step of a job can request one. It is therefore accepted once,
for this exchange, and never as the credential of another request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from whence_aggregator.callers.compact_token import CompactToken, TokenRefused
from whence_aggregator.callers.issuer import SKEW_SECONDS
from whence_aggregator.callers.jobs import Job
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.ports import Database
from whence_aggregator.queries.agents import FORGET_CHALLENGES, REDEEM_CHALLENGE
from whence_common.clock import Now, to_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An authenticated job, and the expiry of its session."""

    job: Job
    until: datetime


class Sessions:
    """Creates and opens sessions. Stores only that a job's token was used, until that token has expired."""

    def __init__(self, *, database: Database, seal: Seal, seconds: float, now: Now) -> None:
        self._database = database
        self._seal = seal
        self._now = now
        self.seconds = seconds

    async def begin(self, token: CompactToken, job: Job, *, token_ends: float) -> str:
        """Return a session token for a job's token, which is valid once. Raises TokenRefused if it was used before."""
        jti = token.claims.get("jti")
        named = f"jti {jti}" if isinstance(jti, str) and jti else f"digest {token.signed_digest}"
        used = "token:" + sha256(f"{token.issuer}\n{named}".encode()).hexdigest()
        now = self._now()
        # Twice the skew: a replica with a slow clock accepts the token after one with a fast clock deletes its use.
        forgotten = datetime.fromtimestamp(token_ends, now.tzinfo) + timedelta(seconds=2 * SKEW_SECONDS)
        async with self._database.transaction() as transaction:
            await transaction.execute(FORGET_CHALLENGES.bind([{"now": to_instant(now)}]))
            taken = await transaction.fetch(REDEEM_CHALLENGE.bind({"nonce": used, "expires_at": to_instant(forgotten)}))
        if len(taken) != 1:
            raise TokenRefused(
                "token-used", "the token was used before", fix="request another token from the CI system"
            )
        until = (now + timedelta(seconds=self.seconds)).timestamp()
        return self._seal.seal({"job": job.to_wire(), "until": until})

    def find(self, text: str) -> Session | None:
        """Return the session of a session token; None for any other token. Raises TokenRefused if it has expired."""
        opened = self._seal.open(text)
        if opened is None:
            return None
        if opened["until"] <= self._now().timestamp():
            raise TokenRefused("session-over", "the session has expired", fix="exchange another token of the job")
        job = Job.from_wire(opened["job"])
        return Session(job=job, until=datetime.fromtimestamp(opened["until"], self._now().tzinfo))
