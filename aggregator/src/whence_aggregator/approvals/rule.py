"""Judges whether the digest that runs was approved, by enough people, none of them the author of its code. Pure.

A form that somebody sent is asserted; a review that a code host recorded is confirmed. Where it cannot be told whether
an approver is an author, the approval counts as unknown, never as given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from whence_aggregator.approvals.people import Authors, KnownPeople, Somebody
from whence_aggregator.approvals.values import CODE_CHANGE, DEPLOY, STUPS_TYPES, TEST, Approval

FOUR_EYES = frozenset({CODE_CHANGE, TEST, DEPLOY})
"""The types over which distinct people are counted."""
ApprovalGrade = Literal["confirmed", "asserted", "missing", "unknown"]
WhetherItCounts = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewEvidence:
    """A review that a code host recorded, of a commit in the version: it approves one type, with its source named."""

    source: str
    type: str
    reviewer: str
    emails: frozenset[str]
    observed_at: str
    ledger_index: int | None = None
    is_author: bool | None = None
    """Whether the host itself states that the reviewer wrote the change; None where it does not state it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicy:
    """What the organisation asks for. `required`: the types that every version must have."""

    required: tuple[str, ...] = STUPS_TYPES
    own_types: tuple[str, ...] = ()
    teams: Mapping[str, tuple[str, ...]]
    """By type: the teams whose people may approve it, in place of the application's own."""
    people: KnownPeople

    @property
    def types(self) -> tuple[str, ...]:
        """Return every type that may be approved."""
        return tuple(dict.fromkeys((*STUPS_TYPES, *self.own_types)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedApproval:
    """An approval or a review, whether it counts, and why not."""

    type: str
    who: Somebody
    source: str
    observed_at: str
    ledger_index: int | None
    confirmed: bool
    counts: WhetherItCounts = "yes"
    reason: str = ""

    def to_wire(self) -> dict[str, object]:
        return {
            "approval_type": self.type,
            "user_id": self.who.name,
            "source": self.source,
            "observed_at": self.observed_at,
            "ledger_index": self.ledger_index,
            "counts": self.counts,
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalJudgement:
    """The grade of a version's approvals, why it is none better, and each approval with whether it counts."""

    grade: ApprovalGrade
    reason: str | None
    missing: tuple[str, ...]
    people: int
    required_people: int
    approvals: tuple[CountedApproval, ...]


def required_people(criticality_level: object) -> int:
    """Return how many distinct people must approve, as Kio computes it: one for criticality 1, otherwise two."""
    return 1 if criticality_level == 1 else 2


def judge(
    approvals: Sequence[Approval],
    reviews: Sequence[ReviewEvidence],
    authors: Authors,
    policy: ApprovalPolicy,
    *,
    required: int,
) -> ApprovalJudgement:
    """Judge the approvals of one digest, and the reviews of its commits."""
    counted = _counted(approvals, reviews, authors, policy)
    given, maybe = _types(counted, "yes"), _types(counted, "yes", "unknown")
    missing = tuple(one for one in policy.required if one not in given)
    people, people_maybe = _people(counted, policy, "yes", surely=True), _people(counted, policy, "yes", "unknown")
    reasons = [f"no approval of {', '.join(missing)}"] if missing else []
    if people < required:
        plural = "person" if people == 1 else "people"
        reasons.append(f"{people} {plural} approved {_listed(FOUR_EYES)}, and {required} must")
    if people < min(required, _people(counted, policy, "yes")):
        reasons.append("whether accounts of different places are different people is not in the people file")
    reasons += [f"{one.who.name} approved {one.type}: {one.reason}" for one in counted if one.counts != "yes"]
    whole = not missing and people >= required
    grade: ApprovalGrade = "asserted"
    if not whole:
        could = all(one in maybe for one in policy.required) and people_maybe >= required
        grade = "unknown" if could else "missing"
    elif set(policy.required) <= _types([one for one in counted if one.confirmed], "yes"):
        seen = _people([one for one in counted if one.confirmed], policy, "yes", surely=True)
        grade = "confirmed" if seen >= required else "asserted"
    return ApprovalJudgement(
        grade=grade,
        reason="; ".join(reasons) or None if not whole else None,
        missing=missing,
        people=people,
        required_people=required,
        approvals=tuple(counted),
    )


def _counted(
    approvals: Sequence[Approval], reviews: Sequence[ReviewEvidence], authors: Authors, policy: ApprovalPolicy
) -> list[CountedApproval]:
    people = policy.people
    found = [
        CountedApproval(
            type=one.type, who=people.somebody(one.person, one.user_id, one.emails), source="approval",
            observed_at=one.approved_at, ledger_index=one.ledger_index, confirmed=False,
        )
        for one in approvals
    ]  # fmt: skip
    stated: dict[str, bool | None] = {}
    for review in reviews:
        who = people.somebody(f"{review.source}\t{review.reviewer}", review.reviewer, review.emails)
        found.append(CountedApproval(
            type=review.type, who=who, source=review.source, observed_at=review.observed_at,
            ledger_index=review.ledger_index, confirmed=True,
        ))  # fmt: skip
        stated[who.person] = stated.get(who.person) or review.is_author
    everybody = [one.who for one in found]
    return [
        _of_code(one, authors, people, everybody, stated.get(one.who.person)) if one.type == CODE_CHANGE else one
        for one in found
    ]


def _of_code(
    one: CountedApproval, authors: Authors, people: KnownPeople, everybody: Sequence[Somebody], stated: bool | None
) -> CountedApproval:
    """Return an approval of the code with whether it counts: not where its author gave it."""
    is_author = people.is_author(one.who, authors, everybody)
    alone = len(authors.emails) <= 1  # a host knows whose commits are in a branch, not whom messages name as co-authors
    if is_author is None and (stated or (stated is False and alone)):
        is_author = stated
    # NOTE: an approval by a form is as good as its grade, `asserted`, which proves nothing about authors either
    believed = one.confirmed and stated is None and bool(authors.unproved)
    if is_author is False and not stated and not believed:
        return one
    counts: WhetherItCounts = "no" if is_author or stated else "unknown"
    unknown = authors.unproved if is_author is False else _untold(one.who, authors)
    reason = "an author of a commit of the version does not count" if counts == "no" else unknown
    return CountedApproval(
        type=one.type, who=one.who, source=one.source, observed_at=one.observed_at, ledger_index=one.ledger_index,
        confirmed=one.confirmed, counts=counts, reason=reason,
    )  # fmt: skip


def _untold(who: Somebody, authors: Authors) -> str:
    if authors.unknown:
        return f"it is not known who wrote the code: {authors.unknown}"
    if not who.emails:
        return "it is not known whether this is an author: no e-mail address is known of this approver"
    return "it is not known whether this is an author: nobody known has the address in the commit"


def _types(counted: Iterable[CountedApproval], *states: WhetherItCounts) -> set[str]:
    return {one.type for one in counted if one.counts in states}


def _people(
    counted: Iterable[CountedApproval], policy: ApprovalPolicy, *states: WhetherItCounts, surely: bool = False
) -> int:
    given = [one.who for one in counted if one.counts in states and one.type in FOUR_EYES]
    return policy.people.count(given, surely=surely)


def _listed(types: frozenset[str]) -> str:
    return ", ".join(one for one in STUPS_TYPES if one in types)
