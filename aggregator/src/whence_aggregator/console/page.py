"""A visit to a page, and what the page shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from whence_aggregator.console.asking import Ask
from whence_aggregator.console.held_files import HeldFiles

NavigationMark = Literal["overview", "instances", "applications", "changes", "violations", "evidence", "report", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who visits, as /v1/whoami states it."""

    name: str
    teams: frozenset[str] | None
    """The teams it may write for; None for every team."""
    rights: frozenset[str]
    is_person: bool = True
    """Whether it is a person and not a job or a program: only persons exempt."""
    reads_all: bool = True
    """Whether it may read what belongs to no team, such as entries of the ledger, and not only its own teams'."""

    def writes_for(self, team: str | None) -> bool:
        """Return whether it may write for a team; for None, what has no team."""
        if self.teams is None or team is None:
            return self.operates
        return "write-all" in self.rights or team in self.teams

    @property
    def is_of_no_team(self) -> bool:
        """Return whether it may read nothing: what belongs to its own teams only, and it has none."""
        return not self.reads_all and self.teams == frozenset()

    @property
    def only_team(self) -> str | None:
        """Return the team whose lists it is shown, if it may read those of its own teams only; otherwise None."""
        return min(self.teams) if not self.reads_all and self.teams else None

    def team_to_name(self, owner: str | None) -> str | None:
        """Return the team that its request about what `owner` owns must name; None if it may leave teams out."""
        own = not self.reads_all and self.teams is not None and owner in self.teams
        return owner if own else self.only_team

    @property
    def operates(self) -> bool:
        return self.teams is None or "operate" in self.rights

    @property
    def reads_user_data(self) -> bool:
        return self.teams is None or bool(self.rights & {"user-data", "audit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request for a page. `path` holds the variable parts of its address, `query` its parameters, each once."""

    ask: Ask
    visitor: Visitor
    now: datetime
    held: HeldFiles = field(default_factory=HeldFiles)
    """Files that were made for visitors, for a while."""
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    """The fields of a form that was sent; its CSRF token was checked and is not among them."""
    until: datetime | None = None
    """When the session ends; None for what is shown without one."""
    shared: Ask | None = None
    """Asks for answers that may be some seconds old, and are shared by visitors with the same rights."""

    @property
    def glance(self) -> Ask:
        """Return what pages ask for rules and for sums, which may be some seconds old."""
        return self.shared or self.ask

    def chosen(self, *names: str) -> dict[str, str | None]:
        """Return parameters of the address by name; None for one that is missing or empty."""
        return {name: self.query.get(name) or None for name in names}


def given(parameters: Mapping[str, str | None]) -> dict[str, str]:
    """Return the parameters that are set."""
    return {name: value for name, value in parameters.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """What a visit is answered with. `template` is rendered with `values`; `section` is marked in the navigation."""

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    section: NavigationMark = ""
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Answers a visit with the address of another page: after a form, or if a search has one result."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFile:
    """Answers a visit with a file that the browser saves, and never shows as a page of the console."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedAnswer:
    """Answers a visit with an answer of the API, of any length, as a file. `path` is quoted."""

    name: str
    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)


PageAnswer = WebPage | Elsewhere | SavedFile | SavedAnswer
ShowPage = Callable[[Visit], Awaitable[PageAnswer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAddress:
    """A page's address below /console, with `{name}` for its variable parts, and the functions that show it.

    `send` answers the page's forms, which are sent to the same address.
    """

    path: str
    show: ShowPage
    send: ShowPage | None = None


PageAddresses = Sequence[PageAddress]
