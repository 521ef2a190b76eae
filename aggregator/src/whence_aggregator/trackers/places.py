"""Which trackers and code hosts are configured, and which of them has a ticket that a commit names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

TrackerType = Literal["github", "gitlab", "gitea", "jira-cloud", "jira", "template"]
CODE_HOSTS: tuple[TrackerType, ...] = ("github", "gitlab", "gitea")
"""Types that have repositories, whose reviews and issues are numbered."""
JIRAS: tuple[TrackerType, ...] = ("jira-cloud", "jira")
_HASH = re.compile(r"(?P<place>[A-Za-z0-9_.~/+-]*)#(?P<number>[1-9][0-9]{0,11})\Z")
_GH = re.compile(r"GH-(?P<number>[1-9][0-9]{0,11})\Z")
_BARE = re.compile(r"[1-9][0-9]{0,11}\Z")
_KEY = re.compile(r"(?P<project>[A-Za-z][A-Za-z0-9_]{1,29})-[1-9][0-9]{0,11}\Z")
_AZURE = "AB"
"""`AB#7` is an item of Azure Boards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTracker:
    """A configured code host or tracker."""

    host: str
    type: TrackerType
    reviews: bool = False
    tickets: bool = True
    projects: tuple[str, ...] = ()
    """The only projects whose tickets are asked for; empty: all."""
    approved_states: tuple[str, ...] = ()
    """Statuses that count as approved; empty: not judged."""
    repositories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By path, the only ids that the repository of this name may have; others may have the one that was read first."""
    shared: bool = False
    """Whether every application may show its tickets; else only one that states their project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTrackers:
    """All configured code hosts and trackers, by host."""

    by_host: Mapping[str, KnownTracker] = field(default_factory=dict)
    shared_git_hosts: frozenset[str] | None = None
    """Git servers whose commits and reviews every application may show; None: all of them."""

    def shares_repositories_of(self, host: str) -> bool:
        return self.shared_git_hosts is None or host in self.shared_git_hosts

    def reads_reviews(self, host: str) -> bool:
        known = self.by_host.get(host)
        return known is not None and known.reviews

    def ids_of(self, repository: str) -> tuple[str, ...]:
        """Return the ids that the settings state for `host/path`; none if they state none."""
        host, _, path = repository.partition("/")
        known = self.by_host.get(host)
        stated = known.repositories if known is not None else {}
        return next((ids for name, ids in stated.items() if name.lower() == path.lower()), ())

    @property
    def some(self) -> bool:
        return bool(self.by_host)

    @property
    def reads_tickets(self) -> bool:
        return any(one.tickets for one in self.by_host.values())

    def only(self, *types: TrackerType) -> KnownTracker | None:
        """Return the tracker of these types, if exactly one is configured."""
        found = [one for one in self.by_host.values() if one.type in types and one.tickets]
        return found[0] if len(found) == 1 else None


NO_TRACKERS = KnownTrackers()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTracker:
    """What an application states about one of its trackers."""

    pattern: str
    type: str = ""
    project: str = ""
    url: str = ""
    approved_states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a ticket is looked up: in which tracker, by which id. Without a tracker, why not."""

    tracker: KnownTracker | None = None
    id: str = ""
    project: str = ""
    """The project in the name; empty where names contain none."""
    projects: tuple[str, ...] = ()
    """The projects that the application's tickets may be of; empty: any."""
    approved_states: tuple[str, ...] = ()
    shown: tuple[str, ...] | None = None
    """The only projects whose tickets are shown with their texts; None: any."""
    reason: str = ""

    @property
    def subject(self) -> str | None:
        """Return the subject of the fact about the ticket; None when it is not looked up."""
        return f"{self.tracker.host}/{self.id}" if self.tracker is not None else None


def whereabouts(
    name: str, *, named_host: str, repository: tuple[str, str], own: OwnTracker | None, known: KnownTrackers
) -> Whereabouts:
    """Return where a ticket is looked up.

    `named_host` is the host of a URL that names it, `repository` host and path of the commit's repository, `own` the
    application's tracker whose pattern matched, if it has any.
    """
    tracker = _tracker(name, named_host, repository, own, known)
    if isinstance(tracker, str):
        return Whereabouts(reason=tracker)
    if not tracker.tickets:
        return Whereabouts(reason=f"not configured: tickets of {tracker.host} are not read")
    stated = own.project if own is not None else ""
    found = _id_in(name, tracker, repository, stated)
    if found is None:
        return Whereabouts(reason=f"{name} is not the form of a ticket of {tracker.host}")
    ticket_id, project = found
    allowed = {one.lower() for one in tracker.projects}
    if allowed and project.lower() not in allowed:
        return Whereabouts(reason=f"{project} is not among the projects of {tracker.host} in the settings")
    projects = (stated,) if stated else (project,) if project and own is not None else tracker.projects
    states = own.approved_states if own is not None and own.approved_states else tracker.approved_states
    return Whereabouts(tracker=tracker, id=ticket_id, project=project, projects=projects, approved_states=states)


def _tracker(
    name: str, named_host: str, repository: tuple[str, str], own: OwnTracker | None, known: KnownTrackers
) -> KnownTracker | str:
    """Return the tracker that has the ticket; else why it is not known."""
    host = named_host or (urlsplit(own.url).netloc.lower() if own is not None and own.url else "")
    if host:
        return known.by_host.get(host) or f"not configured: {host} is not among the trackers in the settings"
    if own is not None and own.type:
        return tracker_of_type(own.type, repository, known) or (
            f"not configured: no single tracker of the type {own.type} is in the settings"
        )
    if _HASH.match(name) or _GH.match(name) or _BARE.match(name):
        home = known.by_host.get(repository[0])
        if home is not None and home.type in CODE_HOSTS:
            return home
        return f"not configured: {repository[0]} is not among the trackers in the settings"
    return known.only(*JIRAS) or known.only("template") or "not configured: no tracker in the settings has such tickets"


def tracker_of_type(stated: str, repository: tuple[str, str], known: KnownTrackers) -> KnownTracker | None:
    """Return the tracker of a type that an application states; None if not exactly one is in the settings."""
    if stated in CODE_HOSTS:
        home = known.by_host.get(repository[0])
        if home is not None and home.type == stated:
            return home
    types = JIRAS if stated.startswith("jira") else tuple(one for one in (*CODE_HOSTS, "template") if one == stated)
    return known.only(*types) if types else None


def _id_in(name: str, tracker: KnownTracker, repository: tuple[str, str], stated: str) -> tuple[str, str] | None:
    """Return the id of a ticket in a tracker and its project; None for another form."""
    if tracker.type in JIRAS:
        key = _KEY.match(name)
        return (name, key["project"]) if key is not None else None
    if tracker.type == "template":
        return name, ""
    found = _HASH.match(name)
    place = found["place"] if found is not None else ""
    if place == _AZURE:
        return None
    number = found or _GH.match(name)
    digits = number["number"] if number is not None else name if _BARE.match(name) else _last_number(name)
    if not digits:
        return None
    home = repository[1] if repository[0] == tracker.host else ""
    project = place if "/" in place else stated or home
    return (f"{project}#{digits}", project) if "/" in project else None


def _last_number(name: str) -> str:
    """Return the number at the end of a name of a form of the application's own."""
    found = re.search(r"(?<![0-9])[1-9][0-9]{0,11}\Z", name)
    return found[0] if found is not None else ""
