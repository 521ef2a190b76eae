"""What a pipeline's job is given for its own token, once: a token of ours, short-lived, and good for many requests.

A job's own token names nobody in particular that may present it, and every step of a job can have one. So it counts
once, here, and never as a credential of other requests.
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
    """A job that was let in, and until when."""

    job: Job
    until: datetime


class Sessions:
    """Begins sessions and knows them again; nothing but that a token was used is kept, until it has expired."""

    def __init__(self, *, database: Database, seal: Seal, seconds: float, now: Now) -> None:
        self._database = database
        self._seal = seal
        self._now = now
        self.seconds = seconds

    async def begin(self, token: CompactToken, job: Job, *, token_ends: float) -> str:
        """Use a job's token up and return a session's. Raises TokenRefused: of many at once, one succeeds."""
        jti = token.claims.get("jti")
        named = f"jti {jti}" if isinstance(jti, str) and jti else f"digest {token.signed_digest}"
        used = "token:" + sha256(f"{token.issuer}\n{named}".encode()).hexdigest()
        now = self._now()
        # Twice: a replica whose clock is behind takes the token for longer than one whose clock forgets it.
        forgotten = datetime.fromtimestamp(token_ends, now.tzinfo) + timedelta(seconds=2 * SKEW_SECONDS)
        async with self._database.transaction() as transaction:
            await transaction.execute(FORGET_CHALLENGES.bind([{"now": to_instant(now)}]))
            taken = await transaction.fetch(REDEEM_CHALLENGE.bind({"nonce": used, "expires_at": to_instant(forgotten)}))
        if len(taken) != 1:
            raise TokenRefused("token-used", "the token was used before", fix="ask the CI system for another one")
        until = (now + timedelta(seconds=self.seconds)).timestamp()
        return self._seal.seal({"job": job.to_wire(), "until": until})

    def find(self, text: str) -> Session | None:
        """Return the session of a token; None for any other. Raises TokenRefused for one that is over."""
        opened = self._seal.open(text)
        if opened is None:
            return None
        if opened["until"] <= self._now().timestamp():
            raise TokenRefused("session-over", "the session is over", fix="exchange another token of the job")
        job = Job.from_wire(opened["job"])
        return Session(job=job, until=datetime.fromtimestamp(opened["until"], self._now().tzinfo))
