"""Wiring of code hosts and trackers: a client for each, with its login, and the readers of reviews and tickets."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec

from whence_aggregator.adapters.github_app import REVIEWS_AND_ISSUES
from whence_aggregator.adapters.logins import FileLogins, Logins, NoLogin
from whence_aggregator.adapters.outside import Authorize, OutsidePlace, OutsideSource
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.kept_answers import KeptAnswers
from whence_aggregator.collect.known_repositories import RecordedRepositories
from whence_aggregator.collect.rows import setting_digest
from whence_aggregator.collect.tracker_collectors import ReviewCollector, TicketCollector
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import KEEP_SETTING_DIGEST, SETTING_DIGEST
from whence_aggregator.queries.compliance import UNJUDGE_EVERY
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.trackers import TOKEN_USER, TrackerPlaceSettings, api_url, reads_reviews
from whence_aggregator.trace.facts import REVIEW_KIND, TICKET_KIND
from whence_aggregator.trackers.gitea import GiteaReader
from whence_aggregator.trackers.github import GithubReader
from whence_aggregator.trackers.gitlab import GitlabReader
from whence_aggregator.trackers.jira import JiraReader
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers, TrackerType
from whence_aggregator.trackers.protection import (
    GiteaProtection,
    GithubProtection,
    GitlabProtection,
    ProtectionReader,
)
from whence_aggregator.trackers.readers import ReviewReader, TicketReader
from whence_aggregator.trackers.source import JsonSource
from whence_aggregator.trackers.template import TemplateReader, TicketTemplate
from whence_aggregator.wiring.outgoing import Outgoing, load_github_app
from whence_common.clock import utc_now
from whence_common.registry_sign_in import Login

_SETTING = "trackers"
_GITHUB = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_JSON = {"Accept": "application/json"}


def known_trackers(settings: Settings) -> KnownTrackers:
    """Return what is configured, as the rules know it."""
    return KnownTrackers(by_host={
        host: KnownTracker(
            host=host, type=one.type, reviews=reads_reviews(one), tickets=one.tickets, projects=tuple(one.projects),
            approved_states=tuple(one.approved_states), shared=one.shared,
            repositories={path: tuple(ids) for path, ids in one.repositories.items()},
        )
        for host, one in settings.trackers.items()
    }, shared_git_hosts=frozenset(host for host, one in settings.git_servers.items() if one.shared))  # fmt: skip


def load_tracker_collectors(
    settings: Settings, database: Database, kept: KeptAnswers, outgoing: Outgoing
) -> tuple[dict[str, Collector], dict[str, ProtectionReader]]:
    """Build the collectors of reviews and tickets, and what reads protected branches. Raises SettingsInvalid."""
    reviews: dict[str, ReviewReader] = {}
    tickets: dict[str, TicketReader] = {}
    protection: dict[str, ProtectionReader] = {}
    for host, one in settings.trackers.items():
        source = _source(host, one, outgoing, kept)
        reader = reader_of(host, one, source)
        if reads_reviews(one):
            protection[host] = _PROTECTION[one.type](source, host=host)
        if reads_reviews(one):
            reviews[host] = cast(ReviewReader, reader)
        if one.tickets:
            tickets[host] = reader
    return {
        REVIEW_KIND: ReviewCollector(reviews, RecordedRepositories(database)),
        TICKET_KIND: TicketCollector(tickets),
    }, protection


async def note_trackers(settings: Settings, database: Database) -> None:
    """Evaluate every instance again if the trackers have changed: what nobody could answer may be asked now."""
    digest = hashlib.sha256(msgspec.json.encode(known_trackers(settings), order="sorted")).hexdigest()
    known = setting_digest(await database.fetch(SETTING_DIGEST.bind({"name": _SETTING})))
    if digest == known or not (known or settings.trackers or settings.git_servers):
        return
    async with database.transaction() as transaction:
        await transaction.execute(
            UNJUDGE_EVERY.bind([{}]), KEEP_SETTING_DIGEST.bind([{"name": _SETTING, "digest": digest}])
        )


def reader_of(host: str, one: TrackerPlaceSettings, source: JsonSource) -> TicketReader:
    """Return the reader of a tracker by its type; those of code hosts read reviews too."""
    if one.type == "github":
        return GithubReader(source, host=host)
    if one.type == "gitlab":
        return GitlabReader(source, host=host)
    if one.type == "gitea":
        return GiteaReader(source, host=host)
    if one.type == "template":
        assert one.template is not None, "the settings were checked"
        template = one.template
        return TemplateReader(source, host=host, template=TicketTemplate(
            path=template.path, page_url=template.page_url or "", fields=template.fields,
            closed_states=template.closed_states,
        ))  # fmt: skip
    version = 3 if one.type == "jira-cloud" else 2
    # the API may have a host of its own, as api.atlassian.com for scoped tokens; pages are on the tracker's
    browse = one.url if one.url is not None and urlsplit(one.url).netloc == host else f"https://{host}"
    return JiraReader(source, host=host, version=version, browse_url=browse)  # type: ignore[arg-type]  # 2 or 3


def _source(host: str, one: TrackerPlaceSettings, outgoing: Outgoing, kept: KeptAnswers) -> OutsideSource:
    place = OutsidePlace(
        host=host, base_url=api_url(host, one), headers=_GITHUB if one.type == "github" else _JSON,
        private_addresses=one.private_addresses, requests_at_once_max=one.requests_at_once_max,
    )  # fmt: skip
    logins: Logins = NoLogin(host)
    if one.github_app is not None:
        logins = load_github_app(host, one.github_app, outgoing.session, permissions=REVIEWS_AND_ISSUES)
    elif one.login_file is not None:
        user = "" if one.type == "jira-cloud" else TOKEN_USER
        file = FileLogins(path=Path(one.login_file), host=host, token_user=user, seconds=time.monotonic)
        file.check()
        logins = file
    return OutsideSource(
        session=outgoing.session, place=place, logins=logins, authorize=AUTHORIZE[one.type], kept=kept,
        lookup=outgoing.lookup, now=utc_now, seconds=time.monotonic,
    )  # fmt: skip


def _bearer(login: Login) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {login.password}"}


def _private_token(login: Login) -> Mapping[str, str]:
    return {"PRIVATE-TOKEN": login.password}


def _token(login: Login) -> Mapping[str, str]:
    return {"Authorization": f"token {login.password}"}


def _basic(login: Login) -> Mapping[str, str]:
    pair = base64.b64encode(f"{login.username}:{login.password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {pair}"}


def _token_or_basic(login: Login) -> Mapping[str, str]:
    return _bearer(login) if login.username == TOKEN_USER else _basic(login)


_PROTECTION: Mapping[TrackerType, type[GithubProtection | GitlabProtection | GiteaProtection]] = {
    "github": GithubProtection, "gitlab": GitlabProtection, "gitea": GiteaProtection,
}  # fmt: skip
AUTHORIZE: Mapping[TrackerType, Authorize] = {
    "github": _bearer, "gitlab": _private_token, "gitea": _token, "jira-cloud": _basic, "jira": _token_or_basic,
    "template": _token_or_basic,
}  # fmt: skip
