"""A cache of one issuer's key set: concurrent requests share a fetch, and fetches are limited in rate.

The last key set remains valid during an outage of the issuer. A fetched set replaces the previous one as a whole, so a
key that the issuer removed verifies no signature after the next fetch.
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
"""The limits that an issuer's max-age is clamped to."""
_FRESH_SECONDS = 3600.0
"""The default if the issuer states no max-age."""
KEPT_SECONDS_MAX = 86_400.0
"""How long a key set is used after it was fetched, while the issuer is unavailable."""
UNKNOWN_SECONDS = 300.0
"""The shortest interval between fetches caused by unknown keys."""
RETRY_SECONDS = 10.0
"""The shortest interval between a failed fetch and the next."""
_TRIED_MAX = 4

_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """The parameters of a key in a key set (RFC 7517, 4)."""

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
    """A public key that verifies signatures."""

    @property
    def description(self) -> KeyDescription: ...

    def verifies(self, text: str, algorithm: str) -> bool:
        """Return whether the signature of a token in compact form is valid under this key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedKeys:
    """A fetched key set. `max_age_seconds` is None if the response states no max-age."""

    keys: Sequence[VerificationKey]
    max_age_seconds: float | None


class IssuerKeySource(Protocol):
    async def fetch(self) -> FetchedKeys:
        """Fetch the issuer's key set. Raises SourceUnavailable."""


class KeyCache:
    """Caches one issuer's key set. `clock` returns monotonic seconds."""

    def __init__(self, issuer: str, source: IssuerKeySource, *, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self._source = source
        self._clock = clock
        self._keys: Sequence[VerificationKey] = ()
        self._fetched_at: float | None = None
        self._fresh_until = self._retry_at = 0.0
        self._unknown_at: float | None = None
        self._failure = "the key set was not fetched yet"
        self._fetching: asyncio.Task[None] | None = None

    async def fitting(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        """Return the keys that fit the algorithm and key id of a token; none if the issuer has no such key.

        Raises SignInUnavailable if there is no valid key set.
        """
        await self._be_fresh()
        found = self._pick(algorithm, key_id)
        if not found and (self._fetching is not None or self._may_ask_for_unknown()):
            await self._fetch()
            found = self._pick(algorithm, key_id)
        self._check_kept()
        return found

    async def refresh(self) -> None:
        """Fetch the key set now, or wait for the fetch in progress."""
        await self._fetch()

    async def close(self) -> None:
        """Cancel the fetch in progress."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    @property
    def age_seconds(self) -> float | None:
        """Return the age of the key set; None if none was fetched."""
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
                "sign-in-keys-unavailable", f"the key set of {self.issuer} is unavailable: {self._failure}"
            )

    async def _fetch(self) -> None:
        """Wait for the fetch in progress, or start one. It continues if the waiting task is cancelled."""
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
