"""Heartbeats: small messages with a MAC, so that reporting presence needs no public-key operation.

The key of an instance is derived from the aggregator's secret; every replica can derive it without a look-up.
The MAC covers the whole body. Its counter alone prevents replay. Its time is the machine's own and is not a reason to
refuse a heartbeat.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Annotated

import msgspec

from whence_common.counting import NUMBER_MAX
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError, one_line
from whence_common.identifiers import INSTANCE_ID

HEARTBEAT_BYTES_MAX = 1024

HEARTBEATS = 1
"""The version by which statements name this form of heartbeats, with a counter."""


class HeartbeatInvalid(InputError):
    """The body is not a heartbeat, or its MAC is not valid."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """`state_digest` is the digest of the last statement's envelope; `enrolment` is the number of the binding.

    `counter` increases with each heartbeat of a binding and is never reused; 0 if an earlier agent sent none.
    """

    instance_id: str
    enrolment: int
    counter: int = 0
    sequence: int
    state_digest: str
    sent_at: Annotated[datetime, msgspec.Meta(tz=True)]

    def to_wire(self) -> bytes:
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def from_wire(cls, content: bytes) -> Heartbeat:
        """Parse a heartbeat; verify its MAC next. Raises HeartbeatInvalid."""
        try:
            heartbeat = _DECODER.decode(content[: HEARTBEAT_BYTES_MAX + 1])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            reason = one_line(str(exc), 120)
            raise HeartbeatInvalid("heartbeat-malformed", f"the body is not a heartbeat: {reason}") from exc
        if not INSTANCE_ID.match(heartbeat.instance_id) or not is_sha256_digest(heartbeat.state_digest):
            raise HeartbeatInvalid("heartbeat-malformed", "the instance id or the state's digest is malformed")
        if heartbeat.counter == 0:
            raise HeartbeatInvalid(
                "heartbeat-without-counter",
                "the heartbeat has no counter, so a recorded copy could be replayed",
                fix="upgrade the agent; its statements are accepted as before",
            )
        if not 0 < heartbeat.counter <= NUMBER_MAX or not 0 < heartbeat.enrolment <= NUMBER_MAX:
            raise HeartbeatInvalid("heartbeat-malformed", "the counter or the enrolment is not between 1 and 2^53 - 1")
        return heartbeat


_DECODER = msgspec.json.Decoder(Heartbeat)


def derive_key(secret: bytes, *, instance_id: str, enrolment: int) -> bytes:
    """Return an instance's MAC key, 32 bytes."""
    return hmac.digest(secret, f"whence-heartbeat-v1\n{instance_id}\n{enrolment}".encode(), "sha256")


def mac(key: bytes, content: bytes) -> str:
    """Return the hex HMAC-SHA256 of a heartbeat's bytes."""
    return hmac.digest(key, content, "sha256").hex()


def verify_mac(key: bytes, content: bytes, stated: str) -> None:
    """Verify a MAC. Raises HeartbeatInvalid."""
    if not stated.isascii() or not hmac.compare_digest(mac(key, content), stated):
        raise HeartbeatInvalid("heartbeat-mac", "the MAC does not hold for this instance")
