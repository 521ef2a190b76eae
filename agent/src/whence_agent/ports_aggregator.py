"""What the agent needs from the aggregator, and from registry fronts of its, as protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from whence_common.errors import RoadError
from whence_common.sts_proof import StsProof


class AggregatorUnavailable(RoadError):
    """The aggregator is away or refuses; its code says which."""

    last_taken: int | None = None
    """Where a number was out of order: the last one that the aggregator took, to go on after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullToken:
    """A token to pull from one repository, and what an engine renews it by; empty where a front gives none."""

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
    """The aggregator's answer: which binding of the instance this is, and the key for heartbeats."""

    number: int
    heartbeat_key: bytes = field(repr=False)
    level: str = ""
    """What was proved: `document`, or `document+sts`."""
    log_keys: tuple[str, ...] = ()
    """Verifier keys of the aggregator's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementReceipt:
    digest: str
    ledger_index: int
    proof: str = ""
    """A C2SP tlog-proof, to be checked."""
    consistency: tuple[bytes, ...] | None = None
    """Proves that its log and the log seen last are one; None when the aggregator has no such proof."""


class IdentityProof(Protocol):
    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        """Give a fresh proof of which instance this is; None where there is none. Raises MetadataUnavailable."""


class EnrolmentRoad(Protocol):
    """Where this instance can enrol: the aggregator, or a registry front of its."""

    async def challenge(self) -> Challenge:
        """Ask for a single-use challenge. Raises AggregatorUnavailable, as all of these do."""

    async def enrol(
        self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None
    ) -> Enrolled: ...


class Aggregator(EnrolmentRoad, Protocol):
    async def submit(self, envelope: bytes) -> StatementReceipt:
        """Submit a statement; again for a receipt under a newer checkpoint."""

    async def heartbeat(self, body: bytes, mac: str) -> None: ...


class RegistryFront(EnrolmentRoad, Protocol):
    async def pull_token(
        self, *, instance_id: str, public_key: str, nonce: str, proof: str, repository: str, sts: StsProof | None
    ) -> PullToken:
        """Ask for a token to pull from one repository. Raises AggregatorUnavailable."""
