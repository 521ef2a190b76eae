"""The public keys of one issuer: fetched once for all who wait, kept through an outage, and never asked for in a flood.

A set replaces the one before as a whole, so a key that an issuer removed verifies nothing after the next fetch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from whence_aggregator.callers.sign_in_unavailable import SignInUnavailable
from whence_aggregator.ports import SourceUnavailable
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

FRESH_SECONDS_MIN, FRESH_SECONDS_MAX = 300.0, 86_400.0
"""What an issuer's max-age is brought within."""
_FRESH_SECONDS = 3600.0
"""Where the issuer says nothing."""
KEPT_SECONDS_MAX = 86_400.0
"""How long the last good set serves after it was fetched, while the issuer does not answer."""
UNKNOWN_SECONDS = 300.0
"""How often, at most, a key that is not known has the set fetched before its time."""
RETRY_SECONDS = 10.0
"""After a fetch that failed."""
_TRIED_MAX = 4

_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """What a set of keys says of one."""

    key_id: str | None
    family: str
    curve: str
    use: str | None
    algorithm: str | None

    def fits(self, algorithm: str) -> bool:
        return (
            self.family == _FAMILIES.get(algorithm[:2])
            and self.curve == _CURVES.get(algorithm, "")
            and self.use in (None, "sig")
            and self.algorithm in (None, algorithm)
        )


class VerificationKey(Protocol):
    """A public key that signatures are verified by."""

    @property
    def description(self) -> KeyDescription: ...

    def verifies(self, text: str, algorithm: str) -> bool:
        """Whether it made the signature of a token in compact form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedKeys:
    """An issuer's keys. `max_age_seconds` None: it does not say how long they are good."""

    keys: Sequence[VerificationKey]
    max_age_seconds: float | None


class IssuerKeySource(Protocol):
    async def fetch(self) -> FetchedKeys:
        """Ask the issuer. Raises SourceUnavailable."""


class KeyCache:
    """Keeps one issuer's keys. `clock` is in seconds and never goes back."""

    def __init__(self, issuer: str, source: IssuerKeySource, *, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self._source = source
        self._clock = clock
        self._keys: Sequence[VerificationKey] = ()
        self._fetched_at: float | None = None
        self._fresh_until = self._retry_at = 0.0
        self._unknown_at: float | None = None
        self._failure = "the issuer's keys were not fetched yet"
        self._fetching: asyncio.Task[None] | None = None

    async def fitting(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        """Return the keys that may have signed; none where the issuer has no such key. Raises SignInUnavailable."""
        await self._be_fresh()
        found = self._pick(algorithm, key_id)
        if not found and (self._fetching is not None or self._may_ask_for_unknown()):
            await self._fetch()
            found = self._pick(algorithm, key_id)
        self._check_kept()
        return found

    async def refresh(self) -> None:
        """Fetch the keys now, if it is not being done."""
        await self._fetch()

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    @property
    def age_seconds(self) -> float | None:
        """Return how long ago the keys were fetched; None for never."""
        return self._clock() - self._fetched_at if self._fetched_at is not None else None

    def _pick(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        fits = [key for key in self._keys if key.description.fits(algorithm)]
        if key_id is None:
            return fits if len(fits) == 1 else []
        return [key for key in fits if key.description.key_id == key_id][:_TRIED_MAX]

    def _may_ask_for_unknown(self) -> bool:
        now = self._clock()
        if now < self._retry_at or (self._unknown_at is not None and now - self._unknown_at < UNKNOWN_SECONDS):
            return False
        self._unknown_at = now
        return True

    async def _be_fresh(self) -> None:
        now = self._clock()
        if self._fetched_at is not None and now < self._fresh_until:
            return
        if self._fetching is not None or now >= self._retry_at:
            await self._fetch()
        self._check_kept()

    def _check_kept(self) -> None:
        if self._fetched_at is None or self._clock() - self._fetched_at >= KEPT_SECONDS_MAX:
            raise SignInUnavailable(
                "sign-in-keys-unavailable", f"the keys of {self.issuer} cannot be had now: {self._failure}"
            )

    async def _fetch(self) -> None:
        """Wait for the one fetch there is; it goes on when who waits goes away."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_once())
        await asyncio.shield(self._fetching)

    async def _fetch_once(self) -> None:
        try:
            fetched = await self._source.fetch()
        except SourceUnavailable as exc:
            self._failure = exc.message
            self._retry_at = self._clock() + RETRY_SECONDS
            log.warning("an issuer's keys cannot be fetched", extra=fields(issuer=self.issuer, reason=exc.message))
        else:
            now = self._clock()
            stated = fetched.max_age_seconds if fetched.max_age_seconds is not None else _FRESH_SECONDS
            self._keys, self._fetched_at = tuple(fetched.keys), now
            self._fresh_until = now + min(max(stated, FRESH_SECONDS_MIN), FRESH_SECONDS_MAX)
        finally:
            self._fetching = None
