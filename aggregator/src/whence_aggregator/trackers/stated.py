"""What an application states to be its own: only that is shown with its texts, unless the settings share it. Pure.

Whence's logins read for every team, and anybody can write the name of another team's ticket into a commit.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from whence_aggregator.trackers.places import (
    CODE_HOSTS,
    JIRAS,
    KnownTracker,
    KnownTrackers,
    OwnTracker,
    Whereabouts,
    tracker_of_type,
)
from whence_common.repositories import compare, repository_named

_COMPARED_KEPT_MAX = 4_096
"""A list of a thousand commits asks the same about each."""
_PROJECT_KEY = re.compile(r"(?:\A|[^A-Za-z0-9_}])(?P<project>[A-Za-z][A-Za-z0-9_]{1,29})-\{number\}\Z")
_PROJECT_PATH = re.compile(r"(?P<project>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+)#\{number\}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPlaces:
    """The trackers and repositories in an application's registration; none without one."""

    trackers: Sequence[OwnTracker] = ()
    repositories: Sequence[str] = ()
    """URLs."""

    def has_repository(self, repository: str) -> bool:
        """Return whether `host/path` is one of the application's repositories."""
        return any(_is_same(one, repository) for one in self.repositories)


@functools.lru_cache(maxsize=_COMPARED_KEPT_MAX)
def _is_same(url: str, repository: str) -> bool:
    return compare(url, f"https://{repository}") == "same"


def withheld_repository(repository: str, stated: OwnPlaces, known: KnownTrackers) -> str:
    """Return why the commits and reviews of `host/path` are not shown; empty if they are."""
    host = repository.partition("/")[0]
    if known.shares_repositories_of(host) or stated.has_repository(repository):
        return ""
    return (
        f"withheld: the application does not state {repository} as its own: add it to the application's `repositories`,"
        f" or set git_servers.{host}.shared"
    )


def within_stated(
    at: Whereabouts, *, repository: tuple[str, str], stated: OwnPlaces, known: KnownTrackers
) -> Whereabouts:
    """Return where a ticket is looked up: nowhere unless the application states its project or the tracker is shared.

    A ticket that was moved to a project that is not stated is not shown either.
    """
    tracker = at.tracker
    if tracker is None or tracker.shared:
        return at
    own = [one for one in stated.trackers if _is_of(one, tracker, repository, known)]
    projects = _projects(own, tracker, stated)
    if tracker.type == "template" and own:  # its names contain no project: the tracker states it, if it has any
        return replace(at, projects=at.projects or projects, shown=projects or None)
    if at.project.lower() not in {one.lower() for one in projects}:
        named = f"the project {at.project}" if at.project else "a tracker"
        return Whereabouts(reason=(
            f"withheld: the application does not state {named} of {tracker.host} as its own: set `project` in the"
            f" application's `trackers`, or trackers.{tracker.host}.shared"
        ))  # fmt: skip
    return replace(at, projects=at.projects or projects, shown=projects)


def _is_of(one: OwnTracker, tracker: KnownTracker, repository: tuple[str, str], known: KnownTrackers) -> bool:
    """Return whether an application's tracker is this one of the settings."""
    if one.url:
        return urlsplit(one.url).netloc.lower() == tracker.host
    if one.type:
        return tracker_of_type(one.type, repository, known) == tracker
    if tracker.type in CODE_HOSTS:
        return repository[0] == tracker.host
    return (known.only(*JIRAS) or known.only("template")) == tracker


def _projects(own: Sequence[OwnTracker], tracker: KnownTracker, stated: OwnPlaces) -> tuple[str, ...]:
    """Return the projects that the application states: by name, in a pattern, and its repositories on a code host."""
    found = [one.project for one in own]
    if tracker.type != "template":
        found += [_project_in(one.pattern) for one in own]
    if tracker.type in CODE_HOSTS:
        paths = (repository_named(one) for one in stated.repositories)
        found += [one.path for one in paths if one is not None and one.host == tracker.host]
    return tuple(dict.fromkeys(filter(None, found)))


def _project_in(pattern: str) -> str:
    match = _PROJECT_KEY.search(pattern) or _PROJECT_PATH.search(pattern)
    return match["project"] if match is not None else ""
