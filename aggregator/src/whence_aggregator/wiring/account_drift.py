"""Wiring of the declared state of accounts: what plans them read-only, and what is known of their drift."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress

from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.steps.table import STEPS
from whence_aggregator.adapters.accounts.configuration_file import ConfigurationFile
from whence_aggregator.adapters.accounts.planner import ConfiguredPlanner
from whence_aggregator.adapters.accounts.providers import AwsProviders
from whence_aggregator.collect.account_drift import (
    CONFIGURATION_KIND,
    ConfigurationLooking,
    DriftCollector,
    DriftReading,
)
from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database, SourceUnavailable
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND
from whence_aggregator.work.task import Work
from whence_common.clock import utc_now
from whence_common.errors import InputError
from whence_common.settings_file import SettingsInvalid


async def load_account_drift(
    settings: Settings, database: Database, ledger: Ledger, stack: AsyncExitStack
) -> Mapping[str, Work]:
    """Return what reads the drift of accounts, and have each account read. Raises SettingsInvalid for a bad file."""
    wanted = settings.account_configuration
    if wanted is None:
        return {}
    file = ConfigurationFile(wanted.file, endpoint_url=settings.aws_endpoint_url)
    try:
        file.check()
    except InputError as exc:
        raise SettingsInvalid(
            "account-configuration", f"account_configuration.file: {exc.message}", fix=exc.fix
        ) from exc
    providers = AwsProviders.opened(endpoint_url=settings.aws_endpoint_url, clock=asyncio.get_running_loop().time)
    stack.push_async_callback(providers.close)
    access = AccountAccess(role=wanted.role, external_id=wanted.external_id) if wanted.role is not None else None
    planner = ConfiguredPlanner(
        file=file, providers=providers, steps=STEPS, access=access, at_once=wanted.accounts_at_once,
        asks_doers=wanted.doers,
    )  # fmt: skip
    recorder = FactRecorder(
        ledger=ledger, collectors={ACCOUNT_DRIFT_KIND: DriftCollector(planner)}, now=utc_now
    )  # fmt: skip
    reading = DriftReading(recorder=recorder, planner=planner, database=database, seconds=wanted.seconds, now=utc_now)
    with suppress(SourceUnavailable):  # the file was read just now; a task of it is retried with its reason
        await reading.schedule()
    looking = ConfigurationLooking(planner=planner, reading=reading, database=database, now=utc_now)
    await looking.schedule()
    return {
        ACCOUNT_DRIFT_KIND: Work(handler=reading, under_way_max=wanted.accounts_at_once),
        CONFIGURATION_KIND: Work(handler=looking),
    }
