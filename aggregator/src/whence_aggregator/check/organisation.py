"""Check the sources of the organisation: the files whole, tokens, and whether the others answer.

A wrong file ends a start. A source that does not answer does not: it is read again and again, so that is a warning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import aiohttp

from whence_aggregator.adapters.organisation_file import OrganisationFileSource
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.approvals import load_people, review_hosts
from whence_aggregator.wiring.organisation import load_aws, load_team_service

_SECONDS_MAX = 10.0


def check_people(findings: SettingsProblems, settings: Settings) -> None:
    """Report every mistake in the people file with its place."""
    wanted = settings.approvals
    if wanted is not None and wanted.people_file is not None:
        name, domains, hosts = wanted.people_file, wanted.email_domains, review_hosts(settings)
        findings.attempt_file(
            "approvals.people_file", name, lambda: load_people(name, domains, hosts), code="people-file"
        )


async def check_organisation(findings: SettingsProblems, settings: Settings, session: aiohttp.ClientSession) -> None:
    """Report every mistake in the file with its place, and sources that refuse or do not answer."""
    wanted = settings.organisation
    if wanted is None:
        return
    if wanted.file is not None:
        load = OrganisationFileSource(wanted.file).load
        findings.attempt_file("organisation.file", wanted.file, load, code="organisation-file")
    if wanted.aws is not None:
        await _answers(findings, "organisation.aws", load_aws(wanted.aws, settings).check())
    if wanted.team_service is not None:
        service = wanted.team_service
        _check_token_file(findings, service.token_file)
        await _answers(findings, "organisation.team_service", load_team_service(service, session).check())


def _check_token_file(findings: SettingsProblems, name: str | None) -> None:
    if name is not None and Path(name).exists():
        findings.readable_by_others("organisation.team_service.token_file", name)


async def _answers(findings: SettingsProblems, setting: str, asked: Awaitable[None]) -> None:
    """Ask a source once; report why it cannot be read now."""
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            await asked
    except SourceUnavailable as exc:
        fix = exc.fix or "see the README (Teams and accounts); the source is read again after the start"
        message = exc.message if exc.message.startswith(setting) else f"{setting}: {exc.message}"
        findings.warn(message, fix=fix, code=exc.code)
    except TimeoutError:
        message = f"{setting}: no answer within {_SECONDS_MAX:g} seconds"
        findings.warn(message, fix="check that it can be reached from here", code="organisation-slow")
