"""A lineage: the links from account to specification, each with its state and its evidence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from whence_aggregator.trace.facts import Heard
from whence_aggregator.trace.life import Life
from whence_aggregator.trace.stored_statement import ReportedLater

LinkState = Literal["confirmed", "asserted", "contradicted", "missing", "unknown"]
LinkName = Literal[
    "account", "team", "instance", "ami", "user_data", "application", "version", "approval", "image", "source",
    "commit", "review", "ticket", "specification",
]  # fmt: skip
LINK_NAMES: tuple[LinkName, ...] = (
    "account", "team", "instance", "ami", "user_data", "application", "version", "approval", "image", "source",
    "commit", "review", "ticket", "specification",
)  # fmt: skip
CHOSEN_LINKS = frozenset(LINK_NAMES)
"""The links that `required_links` may name."""
REQUIRED_LINKS = CHOSEN_LINKS - {"approval"}
"""The links that a complete lineage must have, if `required_links` is not set: approvals were added later."""
_TRACED = ("application_id", "application_version", "runtime", "source")
"""The keys of user data that other links are derived from: shown to every caller who may trace."""
GAPS: tuple[LinkState, ...] = ("contradicted", "missing", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The source of a fact, when it was observed, the digest of what was seen, and its entry in the ledger."""

    source: str
    observed_at: str
    digest: str | None = None
    ledger_index: int | None = None
    recorded_at: str | None = None
    """When it was recorded, if `observed_at` is by the clock of another machine."""

    def to_wire(self) -> dict[str, object]:
        return {
            "source": self.source,
            "observed_at": self.observed_at,
            "recorded_at": self.recorded_at,
            "digest": self.digest,
            "ledger_index": self.ledger_index,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link. Every gap has a `reason`."""

    link: LinkName
    state: LinkState
    value: dict[str, Any] | None = None
    reason: str | None = None
    evidence: tuple[Evidence, ...] = field(default=())
    lacking: bool = False
    """Whether the lineage is incomplete though this is not a gap: a commit that the default branch does not reach."""

    def __post_init__(self) -> None:
        assert self.state not in GAPS or self.reason, "a gap needs a reason"

    def to_wire(self) -> dict[str, object]:
        return {
            "link": self.link,
            "state": self.state,
            "value": self.value,
            "reason": self.reason,
            "lacking": self.lacking,
            "evidence": [one.to_wire() for one in self.evidence],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedBy:
    """Who started the instance, by which event of CloudTrail: beside the links, as no other one rests on it."""

    state: Literal["asserted", "unknown"] = "unknown"
    value: dict[str, Any] | None = None
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()

    def to_wire(self) -> dict[str, object]:
        return {
            "state": self.state,
            "value": self.value,
            "reason": self.reason,
            "evidence": [one.to_wire() for one in self.evidence],
        }


NOT_READ = StartedBy(reason="events of CloudTrail are not read")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotChecked:
    """A link that was not checked with its source, and why."""

    link: str
    reason: str

    def to_wire(self) -> dict[str, str]:
        return {"link": self.link, "reason": self.reason}


NOT_CHECKED = (
    NotChecked(link="review", reason="reviews are not read: it is not known whether the commit was approved"),
    NotChecked(link="ticket", reason="trackers are not read: it is not known whether the tickets exist"),
)


def not_checked(*, reviews: bool, tickets: bool, withheld: str = "") -> tuple[NotChecked, ...]:
    """Return the links that were not checked; the arguments state whether reviews and tickets were.

    `withheld` is why the host of the commit was not asked about its review, though the settings name it.
    """
    checked = {"review": reviews, "ticket": tickets}
    unchecked = (one for one in NOT_CHECKED if not checked[one.link])
    return tuple(replace(one, reason=withheld) if withheld and one.link == "review" else one for one in unchecked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The answer to a trace query about one instance at one moment."""

    instance_id: str
    at: str
    known_at: str
    links: tuple[Link, ...]
    checkpoint: str = ""
    """The signed checkpoint over all entries that the evidence names."""
    reported_later: ReportedLater = field(default_factory=ReportedLater)
    life: Life = "unknown"
    life_since: str = ""
    heard: Heard | None = None
    last_seen: str | None = None
    late: bool = False
    """Whether no statement was recorded by `at`: the links are from one that was reported later."""
    required: frozenset[str] = REQUIRED_LINKS
    """The links that a complete lineage must have."""
    not_checked: tuple[NotChecked, ...] = NOT_CHECKED
    contains: tuple[str, ...] = ()
    """The commits by which a search found the instance though its image was built from a later one."""
    started_by: StartedBy = NOT_READ

    def __post_init__(self) -> None:
        assert tuple(link.link for link in self.links) == LINK_NAMES, "every lineage has every link, in order"

    @property
    def complete(self) -> bool:
        """Return whether all required links are present, were checked, and were recorded by the time asked about."""
        whole = all(link.state not in GAPS and not link.lacking for link in self.links if link.link in self.required)
        return whole and not self.late and not any(one.link in self.required for one in self.not_checked)

    def link(self, name: LinkName) -> Link:
        """Return a link by name."""
        return next(link for link in self.links if link.link == name)

    def states_to_wire(self) -> dict[str, object]:
        """Return the states alone, for lists: of each link, of the whole, and which required links do not hold."""
        wrong = [link for link in self.links if link.state in GAPS or link.lacking]
        return {
            "complete": self.complete,
            "links": {link.link: link.state for link in self.links},
            "gaps": [link.link for link in wrong if link.link in self.required],
        }

    def to_wire(self) -> dict[str, object]:
        return {
            "subject": {"instance": self.instance_id},
            "at": self.at,
            "known_at": self.known_at,
            "complete": self.complete,
            "required": [name for name in LINK_NAMES if name in self.required],
            "not_checked": [one.to_wire() for one in self.not_checked],
            "recorded_by_then": not self.late,
            "life": self.life,
            "life_since": self.life_since or None,
            "heard": self.heard,
            "last_seen": self.last_seen,
            "started_by": self.started_by.to_wire(),
            "reported_later": self.reported_later.to_wire(),
            "contains": list(self.contains),
            "links": [link.to_wire() for link in self.links],
            "checkpoint": self.checkpoint,
        }


def without_user_data(lineage: Lineage) -> Lineage:
    """Return the lineage for a caller who may not read user data: only keys that other links are derived from."""
    link = lineage.link("user_data")
    if link.value is None:
        return lineage
    document = link.value.get("document")
    shown = {name: document[name] for name in _TRACED if name in document} if isinstance(document, dict) else None
    cut = replace(
        link, value={**link.value, "document": shown, "withheld": "the right user-data is needed for the rest"}
    )
    return replace(lineage, links=tuple(cut if one is link else one for one in lineage.links))
