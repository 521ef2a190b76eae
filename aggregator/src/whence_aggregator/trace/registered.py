"""What an application's registration states about its repositories and its ticket trackers. Pure.

Entries of version 1 have one repository, `scm_url`, and one URL for all ticket patterns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_common.repositories import Comparison, compare


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracker:
    """A ticket tracker of an application: the form of its tickets in commit messages, and the URL of a ticket."""

    pattern: str
    """Plain text with `{number}`, and optionally `{project}`."""
    type: str | None = None
    """The product, as in `jira`."""
    project: str | None = None
    """The only project that `{project}` stands for; None: any."""
    url: str | None = None
    """Contains `{ticket}`."""
    approved_states: tuple[str, ...] = ()
    """Statuses of tickets that count as approved; empty: those in the settings."""

    @property
    def effective(self) -> str:
        """Return the pattern with the project in it."""
        return self.pattern.replace("{project}", self.project) if self.project else self.pattern

    def url_of(self, ticket: str) -> str | None:
        return self.url.replace("{ticket}", ticket) if self.url else None

    def to_wire(self) -> dict[str, str | list[str] | None]:
        states = {"approved_states": list(self.approved_states)} if self.approved_states else {}
        return {"pattern": self.pattern, "type": self.type, "project": self.project, "url": self.url, **states}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Tracker:
        return cls(**{**wire, "approved_states": tuple(wire.get("approved_states") or ())})


def trackers_of(body: Mapping[str, Any]) -> tuple[Tracker, ...]:
    """Return the trackers in a revision's body, of any version."""
    if "trackers" in body:
        return tuple(map(Tracker.from_wire, body["trackers"]))
    tickets = body.get("tickets") or {}
    return tuple(Tracker(pattern=one, url=tickets.get("url")) for one in tickets.get("patterns") or ())


def repositories_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the repositories in a revision's body, of any version: `scm_url` first, if it is set."""
    first = body["kio"].get("scm_url")
    further = body.get("repositories") or ()
    return (*((str(first),) if first else ()), *(str(one) for one in further if one != first))


def closest(repositories: Sequence[str], url: str) -> tuple[str | None, Comparison]:
    """Return the registered repository that a source's URL names, and how they compare.

    If none is the same, the first that may be the same is returned; else the first, which is another.
    """
    if not repositories or not url:
        return (repositories[0] if repositories else None), "unclear"
    compared = [(one, compare(one, url)) for one in repositories]
    for wanted in ("same", "unclear"):
        for one, comparison in compared:
            if comparison == wanted:
                return one, comparison
    return compared[0]
