"""A visit to a page, and what the page shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from whence_aggregator.console.asking import Ask

NavigationMark = Literal["overview", "instances", "applications", "changes", "violations", "evidence", "report", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who visits, as /v1/whoami states it."""

    name: str
    teams: frozenset[str] | None
    """The teams it may write for; None for every team."""
    rights: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request for a page. `path` holds the variable parts of its address, `query` its parameters, each once."""

    ask: Ask
    visitor: Visitor
    now: datetime
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
        """Return what pages with sums of everything ask."""
        return self.shared or self.ask


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


ShowPage = Callable[[Visit], Awaitable[WebPage | Elsewhere]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAddress:
    """A page's address below /console, with `{name}` for its variable parts, and the functions that show it.

    `send` answers the page's forms, which are sent to the same address.
    """

    path: str
    show: ShowPage
    send: ShowPage | None = None


PageAddresses = Sequence[PageAddress]
