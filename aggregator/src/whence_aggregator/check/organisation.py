"""Check the sources of the organisation: the file whole, tokens, and whether the others answer.

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
from whence_aggregator.wiring.organisation import load_aws, load_team_service
from whence_common.settings_file import SettingsInvalid

_SECONDS_MAX = 10.0


async def check_organisation(findings: SettingsProblems, settings: Settings, session: aiohttp.ClientSession) -> None:
    """Report every mistake in the file with its place, and sources that refuse or do not answer."""
    wanted = settings.organisation
    if wanted is None:
        return
    if wanted.file is not None:
        _check_file(findings, wanted.file)
    if wanted.aws is not None:
        await _answers(findings, "organisation.aws", load_aws(wanted.aws, settings).check())
    if wanted.team_service is not None:
        service = wanted.team_service
        _check_token_file(findings, service.token_file)
        await _answers(findings, "organisation.team_service", load_team_service(service, session).check())


def _check_token_file(findings: SettingsProblems, name: str | None) -> None:
    if name is not None and Path(name).exists():
        findings.readable_by_others("organisation.team_service.token_file", name)


def _check_file(findings: SettingsProblems, name: str) -> None:
    source = OrganisationFileSource(name)

    def load() -> None:
        try:
            source.load()
        except SettingsInvalid as exc:
            if not exc.problems:
                raise
            for one in exc.problems:
                place = f"{name}:{one.line}:{one.column}"
                findings.error(f"organisation.file: {place}: {one.message}", fix=one.fix, code="organisation-file")

    if findings.attempt("organisation.file", load):
        findings.readable_by_others("organisation.file", name)


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
