"""Wiring of the organisation: its sources, what reads them, and the accounts that it allows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from whence_aggregator.adapters.aws_organization import AwsOrganization
from whence_aggregator.adapters.organisation_file import OrganisationFileSource
from whence_aggregator.adapters.team_service import TeamServiceSource
from whence_aggregator.collect.handlers import OrganisationReading
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.directory import OrganisationDirectory, team_of
from whence_aggregator.organisation.groups import GroupsSource
from whence_aggregator.organisation.names import folded
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.source import OrganisationSource
from whence_aggregator.organisation.values import SourceName
from whence_aggregator.ports import Database, SourceUnavailable
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN
from whence_aggregator.settings.organisation import (
    AwsOrganizationSettings,
    OrganisationSettings,
    TeamServiceSettings,
)
from whence_aggregator.settings.server import Settings, accounts_named
from whence_aggregator.work.questions import ORGANISATION_KIND, SHARED_LANE, question
from whence_aggregator.work.task import Work
from whence_common.clock import to_instant, utc_now
from whence_common.settings_file import SettingsInvalid

LISTING_TEAMS = frozenset({"file", "team-service"})
"""The sources that list every team."""


def sources_in(settings: Settings) -> frozenset[str]:
    """Return the names of the sources that are configured."""
    wanted = settings.organisation or OrganisationSettings()
    found = {"file": wanted.file, "aws": wanted.aws, "team-service": wanted.team_service, "groups": wanted.groups}
    return frozenset(source for source, one in found.items() if one is not None)


def load_directory(settings: Settings, database: Database) -> OrganisationDirectory:
    """Return the directory that decides: by the configured sources, whatever others stated before."""
    return OrganisationDirectory(database, sources_in(settings))


def load_allowed(settings: Settings, database: Database) -> AllowedAccounts:
    """Make what says which accounts are allowed."""
    collected = settings.accounts == "organization"
    return AllowedAccounts(named=accounts_named(settings), collected=collected, database=database)


class TeamSuccessors:
    """The teams that former names lead to, by the sources of the organisation."""

    def __init__(self, directory: OrganisationDirectory) -> None:
        self._directory = directory

    async def of(self, team: str) -> str | None:
        """Return the team that took the place of a former one; None for one that is there, or leads to none."""
        found = team_of((await self._directory.resolve([team]))[team])
        return found if found != folded(team) else None


def load_successors(settings: Settings, database: Database) -> TeamSuccessors | None:
    """Return the lookup; None unless a source that lists teams is configured."""
    return TeamSuccessors(load_directory(settings, database)) if sources_in(settings) & LISTING_TEAMS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationSources:
    """The sources of the settings, and how often each is read."""

    sources: Mapping[SourceName, OrganisationSource]
    seconds: Mapping[SourceName, float]


def load_sources(settings: Settings, session: aiohttp.ClientSession, database: Database) -> OrganisationSources:
    """Make what reads the sources, and look at the file. Raises SettingsInvalid, with every place in the file."""
    wanted = settings.organisation or OrganisationSettings()
    sources: dict[SourceName, OrganisationSource] = {}
    seconds: dict[SourceName, float] = {}
    if wanted.file is not None:
        file = OrganisationFileSource(wanted.file)
        try:
            file.load()
        except OSError as exc:
            message = f"organisation.file {wanted.file} cannot be read: {exc.strerror}"
            raise SettingsInvalid("organisation-file", message) from exc
        sources["file"], seconds["file"] = file, wanted.file_seconds
    if wanted.aws is not None:
        sources["aws"], seconds["aws"] = load_aws(wanted.aws, settings), wanted.aws.seconds
    if wanted.team_service is not None:
        sources["team-service"] = load_team_service(wanted.team_service, session)
        seconds["team-service"] = wanted.team_service.seconds
    if wanted.groups is not None:
        sources["groups"] = GroupsSource(database=database, days=wanted.groups.days, now=utc_now)
        seconds["groups"] = wanted.groups.seconds
    return OrganisationSources(sources=sources, seconds=seconds)


def load_aws(aws: AwsOrganizationSettings, settings: Settings) -> AwsOrganization:
    return AwsOrganization(
        region=aws.region,
        role_arn=aws.role_arn,
        session_name=aws.session_name,
        owner_tag=aws.owner_tag,
        tags=tuple(aws.tags),
        endpoint_url=settings.aws_endpoint_url,
        clock=time.monotonic,
    )


def load_team_service(service: TeamServiceSettings, session: aiohttp.ClientSession) -> TeamServiceSource:
    return TeamServiceSource(session=session, url=service.url, token_file=service.token_file)


async def load_organisation(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    sources: OrganisationSources,
    allowed: AllowedAccounts,
    inventory: InventoryCollector | None,
) -> Work:
    """Make what reads the sources, and have each of them read from now on."""

    async def on_read() -> None:
        await allowed.refresh()
        if inventory is not None and settings.inventory is not None:
            regions = settings.inventory.regions
            await inventory.schedule([(account, region) for account in sorted(allowed.names) for region in regions])

    recorder = OrganisationRecorder(database=database, ledger=ledger, sources=sources.sources, now=utc_now)
    due = to_instant(utc_now())
    rows = [question(ORGANISATION_KIND, one, due_at=due, lane=SHARED_LANE) for one in sources.sources]
    await database.write(ADD_TASK_UNLESS_KNOWN.bind(rows))
    if "file" in sources.sources:  # before anybody asks: it was read for mistakes just now
        with suppress(SourceUnavailable):  # which is kept with its reason, and the work goes on
            await recorder.read("file")
    await allowed.refresh()
    return Work(handler=OrganisationReading(recorder=recorder, seconds=sources.seconds, on_read=on_read))
