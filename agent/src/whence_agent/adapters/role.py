"""The keys for signing AWS requests: the instance role's, or configured ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.ports import MetadataUnavailable
from whence_common.aws_errors import DENIED_SECONDS_MAX
from whence_common.clock import to_instant
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

EARLY = timedelta(minutes=15)
"""How long before their expiry keys are renewed; AWS provides new ones by then."""
PAUSE = timedelta(seconds=30)
"""The shortest interval between two renewals while the present keys are valid: a failing request may take seconds."""


class NoKeys(Exception):
    """There are no credentials; the message states why."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class KeySource(Protocol):
    """A source of keys."""

    async def __call__(self) -> AwsKeys:
        """Return keys to sign with. Raises NoKeys."""

    def refused(self, keys: AwsKeys) -> None:
        """Record that AWS refuses these keys: the next call requests others."""

    @property
    def doubt(self) -> str:
        """A known problem of the present keys, or an empty text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    keys: AwsKeys
    ends: datetime


class RoleKeys:
    """Holds the role's keys until they expire, also while the metadata service is unavailable.

    Keys that have expired by this machine's clock are used if the service has no others, as in the SDKs: AWS's response
    shows whether the keys or the clock are wrong.
    """

    def __init__(self, *, metadata: ImdsMetadata, now: Callable[[], datetime], up_seconds: Callable[[], float]) -> None:
        self._metadata = metadata
        self._now = now
        self._up_seconds = up_seconds
        self._held: _Held | None = None
        self._refused: AwsKeys | None = None
        self._asked_at: datetime | None = None
        self._doubt = ""

    @property
    def doubt(self) -> str:
        return self._doubt

    def refused(self, keys: AwsKeys) -> None:
        self._refused = keys

    async def __call__(self) -> AwsKeys:
        now, held = self._now(), self._held
        if held is None or not self._holds(held, now):
            return await self._asked(now)
        early = now >= held.ends - EARLY
        if early and (self._asked_at is None or not timedelta() <= now - self._asked_at < PAUSE):
            self._asked_at = now
            try:
                return await self._asked(now)
            except NoKeys as exc:
                ends = to_instant(held.ends)
                log.warning("keys are not renewed", extra=fields(reason=str(exc), held_until=ends))
        return held.keys

    async def _asked(self, now: datetime) -> AwsKeys:
        try:
            found = await self._metadata.role_keys()
        except MetadataUnavailable as exc:
            raise NoKeys(f"{exc.message}{self._ended()}", retryable=exc.retryable) from exc
        if found is None:
            # The metadata service may not list the role yet, shortly after the start.
            young = self._up_seconds() < DENIED_SECONDS_MAX
            raise NoKeys("this instance has no role: attach an instance profile", retryable=young)
        keys, ends = found
        self._doubt = ""
        if ends <= now:
            ended = to_instant(ends)
            self._doubt = (
                f"the metadata service returned keys that expired at {ended}: it renews none, or the clock is wrong"
            )
            log.warning("keys have expired", extra=fields(ended=ended))
        held = self._held
        if held is None or ends >= held.ends or not self._holds(held, now):
            self._held, self._refused = _Held(keys=keys, ends=ends), None
        assert self._held is not None
        return self._held.keys

    def _holds(self, held: _Held, now: datetime) -> bool:
        return now < held.ends and held.keys != self._refused

    def _ended(self) -> str:
        return f"; the present keys expired at {to_instant(self._held.ends)}" if self._held is not None else ""


class GivenKeys:
    """Keys from a file or the environment."""

    doubt = ""

    def __init__(self, keys: AwsKeys | None) -> None:
        self._keys = keys

    async def __call__(self) -> AwsKeys:
        """Return the keys. Raises NoKeys if there are none."""
        if self._keys is None:
            raise NoKeys("there are no AWS credentials: pass a file with -c, or set AWS_ACCESS_KEY_ID", retryable=False)
        return self._keys

    def refused(self, keys: AwsKeys) -> None:
        """Do nothing: there are no other keys."""
