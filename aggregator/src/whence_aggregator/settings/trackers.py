"""Code hosts and trackers in the settings: where reviews and tickets are read, and with which login."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from whence_aggregator.settings.places import GithubAppSettings, is_safe_url, wrong_in_app, wrong_keys
from whence_aggregator.trackers.places import CODE_HOSTS, TrackerType
from whence_aggregator.trackers.template import FIELDS, PLACES, wrong_path
from whence_common.errors import one_line

TOKEN_USER = "x-access-token"  # noqa: S105 - the user name for a file that contains only a token
_NAMES_MAX = 200
_REQUESTS_MAX = 20
_URL_CHARACTERS_MAX = 500
_QUESTIONS_MIN, _QUESTIONS_MAX = 10, 1_000_000


class TicketTemplateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a tracker without a type of its own has its tickets."""

    path: str
    """Path of a ticket below `url`, with `{ticket}`, `{number}` or `{project}`."""
    fields: dict[str, str]
    """Paths of members in the answer: names and positions in lists, separated by full stops."""
    page_url: str | None = None
    """URL of a ticket's page for people, with the same places."""
    closed_states: list[str] = []


class TrackerPlaceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code host or tracker that reviews or tickets are read from."""

    type: TrackerType
    url: str | None = None
    """Base URL of its API; None: by the type and the host."""
    login_file: str | None = None
    """File with a token, or USER:PASSWORD; read again when it changes."""
    github_app: GithubAppSettings | None = None
    reviews: bool | None = None
    """Whether reviews are read; None: for code hosts."""
    tickets: bool = True
    projects: list[str] = []
    """The only projects whose tickets are asked for; empty: all that the login may read."""
    approved_states: list[str] = []
    """Statuses that count as approved, where an application names none."""
    repositories: dict[str, list[str]] = {}
    """Ids that repositories have, or had, on a code host: only these are the repositories of that name."""
    template: TicketTemplateSettings | None = None
    shared: bool = False
    """Whether every application may show its tickets; else only one that states their project."""
    private_addresses: bool = False
    """Whether its host may have an address that is not public."""
    requests_at_once_max: int = 2
    questions_per_hour_max: int = 1_000
    """Reviews and tickets that are read from it in an hour, for all teams: a review takes up to five requests."""


def api_url(host: str, settings: TrackerPlaceSettings) -> str:
    """Return the base URL of a tracker's API."""
    if settings.url is not None:
        return settings.url.rstrip("/")
    if settings.type == "github":
        return "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
    return {"gitlab": f"https://{host}/api/v4", "gitea": f"https://{host}/api/v1"}.get(settings.type, f"https://{host}")


def reads_reviews(settings: TrackerPlaceSettings) -> bool:
    return settings.reviews if settings.reviews is not None else settings.type in CODE_HOSTS


def wrong_in_trackers(trackers: Mapping[str, TrackerPlaceSettings]) -> list[str]:
    """Return what is wrong; each problem begins with its setting."""
    wrong = wrong_keys("trackers", trackers)
    for host, one in trackers.items():
        name = f"trackers.{host}"
        if host != host.lower():
            wrong.append(f"{name}: write the host in lower case")
        wrong += _wrong_in_url(name, host, one) + _wrong_in_tracker(name, one)
        if one.github_app is not None:
            wrong += wrong_in_app(f"{name}.github_app", one.github_app)
        if one.template is not None:
            wrong += _wrong_in_template(f"{name}.template", one.template)
    return wrong


def _wrong_in_url(name: str, host: str, one: TrackerPlaceSettings) -> list[str]:
    url = api_url(host, one)
    parts = urlsplit(url)
    if len(url) > _URL_CHARACTERS_MAX or parts.query or parts.fragment or parts.username is not None:
        return [f"{name}.url must be a URL without a user, a query and a fragment"]
    plain = parts.scheme == "http" and one.login_file is None and one.github_app is None and one.private_addresses
    if not is_safe_url(url) and not plain:
        return [f"{name}.url must be an https URL; http is allowed on loopback, and without a login with"
                " private_addresses"]  # fmt: skip
    return []


def _wrong_in_tracker(name: str, one: TrackerPlaceSettings) -> list[str]:
    wrong = []
    if one.login_file is not None and one.github_app is not None:
        wrong.append(f"{name}.login_file and github_app exclude each other")
    if one.github_app is not None and one.type != "github":
        wrong.append(f"{name}.github_app is for the type github only")
    if one.reviews and one.type not in CODE_HOSTS:
        wrong.append(f"{name}.reviews: only {', '.join(CODE_HOSTS)} have reviews")
    if (one.template is not None) != (one.type == "template"):
        wrong.append(f"{name}: the type template needs template, and no other type has it")
    if not reads_reviews(one) and not one.tickets:
        wrong.append(f"{name}: with reviews and tickets both off, nothing would be read: remove it")
    wrong += _wrong_in_repositories(name, one)
    if not 1 <= one.requests_at_once_max <= _REQUESTS_MAX:
        wrong.append(f"{name}.requests_at_once_max must be from 1 to {_REQUESTS_MAX}")
    if not _QUESTIONS_MIN <= one.questions_per_hour_max <= _QUESTIONS_MAX:
        wrong.append(f"{name}.questions_per_hour_max must be from {_QUESTIONS_MIN} to {_QUESTIONS_MAX}")
    for setting, names in (("projects", one.projects), ("approved_states", one.approved_states)):
        if len(names) > _NAMES_MAX or any(not text.strip() or len(text) > 100 for text in names):
            wrong.append(f"{name}.{setting} must have at most {_NAMES_MAX} names of 1 to 100 characters")
    return wrong


def _wrong_in_repositories(name: str, one: TrackerPlaceSettings) -> list[str]:
    if one.repositories and one.type not in CODE_HOSTS:
        return [f"{name}.repositories: only {', '.join(CODE_HOSTS)} have repositories"]
    return [
        f"{name}.repositories.{one_line(path, 60)} must have 1 to 20 ids, as numbers in quotes"
        for path, ids in one.repositories.items()
        if not 1 <= len(ids) <= 20 or any(not re.fullmatch(r"[0-9]{1,20}", each) for each in ids)
    ]


def _wrong_in_template(name: str, template: TicketTemplateSettings) -> list[str]:
    wrong = []
    if not template.path.startswith("/") or not any(place in template.path for place in PLACES[:2]):
        wrong.append(f"{name}.path must begin with / and contain {{ticket}} or {{number}}")
    if template.page_url is not None and not is_safe_url(template.page_url.partition("{")[0]):
        wrong.append(f"{name}.page_url must be an https URL")
    unknown = sorted(set(template.fields) - set(FIELDS))
    if unknown:
        wrong.append(f"{name}.fields: {one_line(unknown[0], 60)!r} is not one of: {', '.join(FIELDS)}")
    if not {"title", "status"} & set(template.fields):
        wrong.append(f"{name}.fields must have title or status: without both, no answer is recognised as a ticket")
    wrong += [f"{name}.fields.{key} is not a path like data.attributes.title"
              for key, path in template.fields.items() if wrong_path(path)]  # fmt: skip
    return wrong
