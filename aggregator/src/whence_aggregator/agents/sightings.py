"""When an instance was last heard, and its last heartbeat. This is not in the log, so each row has seals: MACs with a
key derived from the heartbeat secret.
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
"""(instance id, number of the binding whose key signed)."""
_SEAL_BYTES = 16
_INSTANCE = attrgetter("instance_id")
HeartbeatPlace = tuple[int, int]
"""A heartbeat's place among those of its instance: (number of the binding, counter)."""


class Beat(msgspec.Struct, frozen=True, gc=False):
    """One heartbeat as it arrived, with the skew of the machine's clock."""

    instance_id: str
    place: HeartbeatPlace
    skew_millis: int = 0
    """The stated time less the time of arrival: above 0 when the clock is ahead."""
    behind_since: datetime | None = None
    """When the first of an unbroken run of heartbeats that were too far behind arrived; None when this one is not."""
    skew_confirmed: bool = False
    """Whether the heartbeats before it, over some time, showed the same: a single delay does not explain that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSighting:
    """A row of `last_seen`. `beat_seal` is empty while the counter is 0."""

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
        """Copied for each seal, which is three times as fast as starting with the key."""
        self._beat_sealing = hashlib.blake2b(key=key, digest_size=_SEAL_BYTES, person=b"whence-heartbeat")

    def rows(self, heard: Iterable[SpeakingKey], seen_at: int) -> list[SeeParameters]:
        """Return one row for each instance, of the newest binding that was heard."""
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
        """Return a row with new seals, after the secret was replaced."""
        return {
            "instance_id": one.instance_id,
            "seen_at": one.seen_at,
            "enrolment": one.enrolment,
            "counter": one.counter,
            "seal": self._seal(one.instance_id, one.seen_at, one.enrolment),
            "beat_seal": self._beat_seal_of(one) if one.counter else None,
        }

    def beats(self, beats: Iterable[Beat], seen_at: int) -> list[HearParameters]:
        """Return the rows of heartbeats, at most one for each instance, in the order in which replicas lock rows."""
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
        """Return whether a row's seals are valid."""
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
        """Return the seal of a row; `enrolment` is 0 in rows from before bindings were stored."""
        stated = f"{instance_id} {seen_at}" + (f" {enrolment}" if enrolment else "")
        sealing = self._sealing.copy()
        sealing.update(stated.encode())
        return sealing.digest()[:_SEAL_BYTES]
