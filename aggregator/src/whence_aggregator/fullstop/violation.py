"""Violations as this interface reads them, and the port to whatever keeps them and takes steps on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from whence_aggregator.ports import Conflict

ViolationState = Literal["open", "acknowledged", "exempted", "fixed"]
VIOLATIONS_READ_MAX = 20_000
"""Of one request, before the filters that only this interface has."""
MEMBERS_SHOWN_MAX = 100
EXEMPTIONS_MAX = 1_000


class TooManyViolations(Conflict):
    """More violations than one request may read match."""

    def __init__(self) -> None:
        super().__init__(
            "violations-too-many", f"more than {VIOLATIONS_READ_MAX} violations match",
            fix="narrow the request by accounts, types, application-ids or last-violation",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An instance that a violation is about."""

    instance_id: str
    account_id: str
    region: str
    image_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedViolation:
    """One fault. `number` is stable: it stays when the fault is fixed and comes back."""

    number: int
    key: str
    """What it is known by where it is kept."""
    type_id: str
    """The type that fullstop. has for its rule, else the rule in capitals."""
    state: ViolationState
    created: str
    changed: str
    account_id: str
    """Of its subject, else of its first member; empty if it is about no account."""
    region: str = ""
    application_id: str = ""
    application_version: str = ""
    members: Sequence[Member] = ()
    rule: str = ""
    """Empty for what another program reported."""
    severity: int | None = None
    """From 1, worst, to 4; None where nobody has rated it."""
    reason: str = ""
    event_id: str = ""
    meta_info: object = None
    username: str = ""
    reported_by: str = ""
    """The caller who reported it; empty for verdicts of rules."""
    comment: str = ""
    changed_by: str = ""
    exemption: int | None = None

    @property
    def account_ids(self) -> frozenset[str]:
        return frozenset({self.account_id, *(one.account_id for one in self.members)}) - {""}


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowedTo:
    """What a request narrows its violations to, before they are read; None means any."""

    accounts: Sequence[str] | None = None
    applications: Sequence[str] | None = None
    types: Sequence[str] | None = None
    number_min: int = 0
    number: int | None = None
    unfixed: bool = False
    """Leave out those that are fixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedExemption:
    """What an exemption is to cover; an empty text means any. It never lasts for ever."""

    type_id: str = ""
    account_id: str = ""
    application_id: str = ""
    application_version: str = ""
    reason: str
    ends_at: str

    def covers(self, violation: ServedViolation) -> bool:
        """Return whether all that is given is as in the violation."""
        given = (
            (self.type_id, (violation.type_id,)),
            (self.account_id, violation.account_ids),
            (self.application_id, (violation.application_id,)),
            (self.application_version, (violation.application_version,)),
        )
        return all(not want or want in are for want, are in given)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedExemption:
    """A recorded exemption."""

    number: int
    wanted: WantedExemption
    created: str
    created_by: str
    changed: str
    changed_by: str

    def stands(self, now: str) -> bool:
        return now < self.wanted.ends_at


class ViolationSource(Protocol):
    """Keeps violations, and takes steps on them. Raises StorageUnavailable."""

    async def matching(self, narrowed: NarrowedTo) -> Sequence[ServedViolation]:
        """Return violations by number. Raises TooManyViolations. More than was asked for may be returned."""

    async def acknowledge(self, violation: ServedViolation, comment: str, by: str) -> None:
        """Record that a violation is resolved with a comment; a second one replaces the first."""

    async def exempt(self, wanted: WantedExemption, by: str) -> ServedExemption:
        """Record an exemption. Raises Conflict if there are EXEMPTIONS_MAX."""

    async def end_exemption(self, exemption: ServedExemption, ends_at: str, by: str) -> None:
        """Record that an exemption ends at a time."""

    async def exemptions(self, number: int | None = None) -> Sequence[ServedExemption]:
        """Return the exemptions that stand, by number; or the one of a number, even if it has ended."""
