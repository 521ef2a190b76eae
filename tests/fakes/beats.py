"""Heartbeats as agents send them, and as somebody who recorded them sends them again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fakes.in_process import SECRET
from whence_common.heartbeat import Heartbeat, derive_key, mac


@dataclass(frozen=True)
class Recorded:
    """One message as it goes over the wire."""

    instance_id: str
    enrolment: int
    counter: int
    body: bytes
    mac: str

    @property
    def place(self) -> tuple[int, int]:
        return self.enrolment, self.counter


def recorded(instance_id: str, counter: int, sent_at: datetime, *, enrolment: int = 1) -> Recorded:
    """Make the heartbeat that the holder of a binding's key sends."""
    body = Heartbeat(
        instance_id=instance_id, enrolment=enrolment, counter=counter, sequence=1,
        state_digest="sha256:" + "0" * 64, sent_at=sent_at,
    ).to_wire()  # fmt: skip
    key = derive_key(SECRET, instance_id=instance_id, enrolment=enrolment)
    return Recorded(instance_id, enrolment, counter, body, mac(key, body))
