"""When an instance was last heard of, and by which heartbeat. Not in the log, so each row carries seals: MACs under the
heartbeat secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

import msgspec

from whence_aggregator.queries.agents import HearParameters, ResealParameters, SeeParameters

SpeakingKey = tuple[str, int]
"""(instance id, number of the binding whose key spoke)."""
_SEAL_BYTES = 16
_INSTANCE = attrgetter("instance_id")
HeartbeatPlace = tuple[int, int]
"""A heartbeat's place among those of its instance: (number of the binding, counter)."""


class Beat(msgspec.Struct, frozen=True, gc=False):
    """One heartbeat as it arrived, and what its time shows of the machine's clock."""

    instance_id: str
    place: HeartbeatPlace
    skew_millis: int = 0
    """The time it states less the time it arrived: above 0 where the clock is ahead."""
    behind_since: datetime | None = None
    """When the first arrived of those, without a break, whose times were too far behind; None where this one is not."""
    skew_confirmed: bool = False
    """Whether the heartbeats before it, over some time, showed the same: then no single delay explains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSighting:
    """When an instance was last heard of, as the database holds it. `beat_seal` is empty while the counter is 0."""

    instance_id: str
    seen_at: int
    enrolment: int
    seal: bytes
    counter: int
    skew_millis: int
    skew_confirmed: int
    beat_seal: bytes


class Sightings:
    """Makes and checks sealed rows of `last_seen`."""

    def __init__(self, secret: bytes) -> None:
        key = hmac.digest(secret, b"whence-last-seen-v1", hashlib.sha256)
        self._sealing = hmac.new(key, digestmod=hashlib.sha256)
        """Copied for each seal: that is three times as fast as to begin with the key."""
        self._beat_sealing = hashlib.blake2b(key=key, digest_size=_SEAL_BYTES, person=b"whence-heartbeat")

    def rows(self, heard: Iterable[SpeakingKey], seen_at: int) -> list[SeeParameters]:
        """Give one row an instance, of the newest binding that was heard."""
        return [
            {
                "instance_id": instance_id,
                "seen_at": seen_at,
                "enrolment": enrolment,
                "seal": self._seal(instance_id, seen_at, enrolment),
            }
            for instance_id, enrolment in dict(sorted(heard)).items()
        ]

    def sealed(self, one: SealedSighting) -> ResealParameters:
        """Return a row with its seals anew: after the secret was lost."""
        return {
            "instance_id": one.instance_id,
            "seen_at": one.seen_at,
            "enrolment": one.enrolment,
            "counter": one.counter,
            "seal": self._seal(one.instance_id, one.seen_at, one.enrolment),
            "beat_seal": self._beat_seal_of(one) if one.counter else None,
        }

    def beats(self, beats: Iterable[Beat], seen_at: int) -> list[HearParameters]:
        """Return the rows of heartbeats, one an instance at most, in the order that all replicas take locks in."""
        return [
            {
                "instance_id": one.instance_id,
                "seen_at": seen_at,
                "enrolment": one.place[0],
                "seal": self._seal(one.instance_id, seen_at, one.place[0]),
                "counter": one.place[1],
                "skew_millis": one.skew_millis,
                "skew_confirmed": int(one.skew_confirmed),
                "beat_seal": self._beat_seal(one.instance_id, *one.place, one.skew_millis, one.skew_confirmed),
            }
            for one in sorted(beats, key=_INSTANCE)
        ]

    def holds(self, one: SealedSighting) -> bool:
        """Return whether a row is as it was written."""
        seal = self._seal(one.instance_id, one.seen_at, one.enrolment)
        if not hmac.compare_digest(seal, one.seal):
            return False
        if not one.counter:
            return True
        return hmac.compare_digest(self._beat_seal_of(one), one.beat_seal)

    def _beat_seal_of(self, one: SealedSighting) -> bytes:
        return self._beat_seal(one.instance_id, one.enrolment, one.counter, one.skew_millis, one.skew_confirmed)

    def _beat_seal(self, instance_id: str, enrolment: int, counter: int, skew_millis: int, confirmed: int) -> bytes:
        sealing = self._beat_sealing.copy()
        sealing.update(f"{instance_id} {enrolment} {counter} {skew_millis} {confirmed:d}".encode())
        return sealing.digest()

    def _seal(self, instance_id: str, seen_at: int, enrolment: int) -> bytes:
        """Seal a row; 0 stands where rows were written before bindings were kept."""
        stated = f"{instance_id} {seen_at}" + (f" {enrolment}" if enrolment else "")
        sealing = self._sealing.copy()
        sealing.update(stated.encode())
        return sealing.digest()[:_SEAL_BYTES]
