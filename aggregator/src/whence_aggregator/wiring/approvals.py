"""Wiring of versions and approvals."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from aiohttp import web

from whence_aggregator.approvals.people import KnownPeople
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.approvals.versions import Versions
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.slots import Slots
from whence_aggregator.http.versions import VersionCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database
from whence_aggregator.settings.approvals import PEOPLE_BYTES_MAX, parse_people
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.trackers import reads_reviews
from whence_aggregator.trace.version_authors import VersionAuthors
from whence_aggregator.trace.version_commits import VersionCommitsReader
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.trackers import known_trackers
from whence_aggregator.work.questions import ask_version
from whence_common.clock import utc_now
from whence_common.settings_file import SettingsInvalid


def load_policy(settings: Settings) -> ApprovalPolicy | None:
    """Return what a version needs to be approved; None if nothing is configured. Raises SettingsInvalid."""
    wanted = settings.approvals
    if wanted is None:
        return None
    return ApprovalPolicy(
        required=tuple(dict.fromkeys(wanted.required)),
        own_types=tuple(wanted.types),
        teams={name: tuple(teams) for name, teams in wanted.teams.items()},
        people=load_people(wanted.people_file, wanted.email_domains, review_hosts(settings)),
    )


def version_routes(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    policy: ApprovalPolicy | None,
    limits: LiveLimits,
    streams: Slots,
    membership: Membership,
) -> list[web.RouteDef]:
    """Return the routes of versions and approvals."""
    front = settings.registry_front.name if settings.registry_front is not None else ""
    bytes_of = (limits.of("application_bytes_per_caller", "caller"), limits.of("application_bytes_per_team", "team"))
    versions = Versions(
        database=database, ledger=ledger, policy=policy, front=front, limits=bytes_of, now=utc_now, asked=ask_version
    )
    reader = VersionCommitsReader(database=database, git_hosts=frozenset(settings.git_servers))
    calls = VersionCalls(
        versions=versions, database=database, streams=streams, membership=membership, now=utc_now,
        trackers=known_trackers(settings), authors=VersionAuthors(database=database, reader=reader, policy=policy),
    )  # fmt: skip
    return calls.routes()


def review_hosts(settings: Settings) -> frozenset[str]:
    """Return the code hosts whose reviews are read."""
    return frozenset(host for host, one in settings.trackers.items() if reads_reviews(one))


def load_people(path: str | None, domains: list[str], code_hosts: Collection[str]) -> KnownPeople:
    """Return who is who. Raises SettingsInvalid."""
    if path is None:
        return KnownPeople.of((), domains)
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(PEOPLE_BYTES_MAX + 1)
    except OSError as exc:
        raise SettingsInvalid(
            "people-file", f"approvals.people_file: {path} cannot be read: {exc.strerror}",
            fix="correct the path or the file's mode",
        ) from exc  # fmt: skip
    return parse_people(content, name=path, domains=domains, code_hosts=code_hosts)
