"""What the agent needs from the aggregator and from its registry fronts, as protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from whence_common.errors import RoadError
from whence_common.sts_proof import StsProof


class AggregatorUnavailable(RoadError):
    """The aggregator is unreachable or refuses the request; `code` states which."""

    last_taken: int | None = None
    """After a number out of order: the last number that the aggregator accepted; the next one must follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullToken:
    """A token to pull from one repository, and a refresh token for the engine; empty if the front issues none."""

    token: str = field(repr=False)
    expires_seconds: float
    refresh_token: str = field(default="", repr=False)
    refresh_expires_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    nonce: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The aggregator's answer to an enrolment: its number for this instance, and the key for heartbeats."""

    number: int
    heartbeat_key: bytes = field(repr=False)
    level: str = ""
    """Which proof was verified: `document`, or `document+sts`."""
    log_keys: tuple[str, ...] = ()
    """Verifier keys of the aggregator's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementReceipt:
    digest: str
    ledger_index: int
    proof: str = ""
    """A C2SP tlog-proof, not verified yet."""
    consistency: tuple[bytes, ...] | None = None
    """Consistency proof from the checkpoint seen last to this one; None if the aggregator sent none."""


class IdentityProof(Protocol):
    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        """Return a fresh proof of the instance's identity; None if there is none. Raises MetadataUnavailable."""


class EnrolmentRoad(Protocol):
    """An endpoint at which this instance can enrol: the aggregator, or one of its registry fronts."""

    async def challenge(self) -> Challenge:
        """Return a single-use challenge. Raises AggregatorUnavailable, as all of these methods do."""

    async def enrol(
        self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None
    ) -> Enrolled: ...


class Aggregator(EnrolmentRoad, Protocol):
    async def submit(self, envelope: bytes) -> StatementReceipt:
        """Submit a statement and return its receipt; submitting again returns one under a newer checkpoint."""

    async def heartbeat(self, body: bytes, mac: str) -> None: ...


class RegistryFront(EnrolmentRoad, Protocol):
    async def pull_token(
        self, *, instance_id: str, public_key: str, nonce: str, proof: str, repository: str, sts: StsProof | None
    ) -> PullToken:
        """Return a token to pull from one repository. Raises AggregatorUnavailable."""
