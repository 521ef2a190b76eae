"""The checks of each program: `serve`, `registry`, `mint` and `witness`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import aiohttp

from whence_aggregator.adapters.tls_files import CERTIFICATE, KEY, expiry, load_tls_context, read_tls_file
from whence_aggregator.check.account_configuration import check_account_configuration
from whence_aggregator.check.database import check_database
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.check.keys import check_keys, check_signers, check_trust
from whence_aggregator.check.listening import check_listening
from whence_aggregator.check.log import check_log
from whence_aggregator.check.logins import check_backend_login, check_logins
from whence_aggregator.check.mint import check_mint_files
from whence_aggregator.check.notifications import check_notifications
from whence_aggregator.check.organisation import check_organisation, check_people
from whence_aggregator.check.rules import check_rules
from whence_aggregator.check.witnesses import check_witnesses
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.witness import WitnessFile
from whence_aggregator.wiring import parts, settings_files
from whence_aggregator.wiring.fullstop import load_fleet
from whence_aggregator.wiring.sign_in import read_secret
from whence_common.note import WITNESS
from whence_common.problems import Problem
from whence_common.settings_file import Document, SettingsInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A program's environment. `database_location` is WHENCE_DATABASE."""

    database_location: str | None
    now: Callable[[], datetime]


async def check_serve(document: Document[Settings], around: Surroundings) -> Sequence[Problem]:
    """Return the errors with which `serve` would fail to start, and warnings."""
    settings, findings = document.settings, SettingsProblems(document)
    async with parts.new_session() as session:
        await _shared(findings, settings, session, around)
        await check_witnesses(findings, settings.witnesses, session)
        await check_organisation(findings, settings, session)
    check_people(findings, settings)
    check_account_configuration(findings, settings)
    await check_rules(findings, settings)
    check_notifications(findings, settings)
    findings.attempt("required_links", lambda: parts.required_links(settings))
    if settings.registry_front is not None and not settings.registry_front.alone:
        check_backend_login(findings, settings.registry_front)
    if settings.mint is not None and not settings.mint.alone:
        check_mint_files(findings, settings.mint)
    check_listening(
        findings, "listen_port", settings.listen_address, settings.listen_port,
        tls=settings.tls_certificate_file is not None,
    )  # fmt: skip
    return findings.problems


async def check_registry(document: Document[Settings], around: Surroundings) -> Sequence[Problem]:
    """Return the errors with which `registry` would fail to start, and warnings."""
    settings, findings = document.settings, SettingsProblems(document)
    async with parts.new_session() as session:
        await _shared(findings, settings, session, around)
    registry = settings.registry_front
    if registry is None:
        findings.error(
            "registry_front: no registry front is configured",
            fix="set registry_front",
            code="registry-unset",
        )
        return findings.problems
    if not registry.alone:
        findings.warn(
            "registry_front: `serve` serves this front too", code="registry-not-alone",
            fix="set registry_front.alone: true to serve it only in this separate process",
        )  # fmt: skip
    check_backend_login(findings, registry)
    check_listening(
        findings, "registry_front.listen_port", registry.listen_address, registry.listen_port,
        tls=settings.tls_certificate_file is not None,
    )  # fmt: skip
    return findings.problems


async def check_mint(document: Document[Settings], around: Surroundings) -> Sequence[Problem]:
    """Return the errors with which `mint` would fail to start, and warnings."""
    settings, findings = document.settings, SettingsProblems(document)
    async with parts.new_session() as session:
        await _shared(findings, settings, session, around)
    if settings.mint is None:
        findings.error("mint: no mint is configured", fix="set mint", code="mint-unset")
        return findings.problems
    if not settings.mint.alone:
        findings.warn(
            "mint: `serve` rotates credentials too", code="mint-not-alone",
            fix="set mint.alone: true to have its key in this separate process only",
        )  # fmt: skip
    check_mint_files(findings, settings.mint)
    check_listening(
        findings, "mint.listen_port", settings.mint.listen_address, settings.mint.listen_port,
        tls=settings.tls_certificate_file is not None,
    )  # fmt: skip
    return findings.problems


async def check_witness(document: Document[WitnessFile], around: Surroundings) -> Sequence[Problem]:
    """Return the errors with which `witness` would fail to start, and warnings."""
    settings, findings = document.settings, SettingsProblems(document)
    state = Path(settings.state_directory)
    findings.writable("state_directory", state)
    key = Path(settings.key_file or state / "witness.key")
    with suppress(OSError):
        if settings.key_file is not None or key.exists():  # noqa: ASYNC240 - a short command
            setting = "state_directory" if settings.key_file is None else "key_file"
            check_signers(findings, setting, key, name=settings.name, type_=WITNESS)
    _tls(findings, settings.tls_certificate_file, settings.tls_key_file, around)
    check_listening(
        findings, "listen_port", settings.listen_address, settings.listen_port,
        tls=settings.tls_certificate_file is not None,
    )  # fmt: skip
    return findings.problems


async def _shared(
    findings: SettingsProblems, settings: Settings, session: aiohttp.ClientSession, around: Surroundings
) -> None:
    """Run the checks that `serve` and `registry` share."""
    await check_database(
        findings, around.database_location or settings.database, connections_max=settings.database_connections_max
    )
    if findings.attempt("tokens_file", lambda: settings_files.load_callers(settings.tokens_file)):
        findings.readable_by_others("tokens_file", settings.tokens_file)
    if settings.instance_logs is not None:
        place, path = "instance_logs.credentials_file", settings.instance_logs.credentials_file
        if findings.attempt(place, partial(load_fleet, path)):
            findings.readable_by_others(place, path)
    asked = settings.sign_in.introspection
    if asked is not None:
        place, path = "sign_in.introspection.client_secret_file", asked.client_secret_file
        if findings.attempt(place, partial(read_secret, Path(path))):
            findings.readable_by_others(place, path)
    findings.attempt("authorities_directory", lambda: settings_files.load_authorities(settings.authorities_directory))
    check_keys(findings, settings)
    await check_log(findings, settings, around.database_location or settings.database)
    if around.database_location is not None:
        findings.problems = [_of_environment(one) for one in findings.problems]
    check_trust(findings, settings.trust, settings.ami_builders)
    check_logins(findings, settings, session)
    _tls(findings, settings.tls_certificate_file, settings.tls_key_file, around)


def _of_environment(problem: Problem) -> Problem:
    """Return a problem of the database that names WHENCE_DATABASE, without the place of the setting."""
    if not problem.message.startswith("database:"):
        return problem
    message = f"WHENCE_DATABASE, which overrides `database`:{problem.message.removeprefix('database:')}"
    return replace(problem, line=0, column=0, path="", message=message)


def _tls(findings: SettingsProblems, certificate: str | None, key: str | None, around: Surroundings) -> None:
    if certificate is None or key is None:
        return
    there = findings.attempt(CERTIFICATE, partial(read_tls_file, CERTIFICATE, certificate))
    if not findings.attempt(KEY, partial(read_tls_file, KEY, key)) or not there:
        return
    findings.attempt("tls_", lambda: load_tls_context(certificate, key))  # its message names the setting
    findings.readable_by_others(KEY, key)
    with suppress(SettingsInvalid):  # already reported
        for is_error, message, fix in expiry(certificate, now=around.now()):
            (findings.error if is_error else findings.warn)(message, fix=fix, code="tls-expiry")
