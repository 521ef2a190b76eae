"""Wiring of fullstop.'s interface, and of the logs that instances send without a signature."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from aiohttp import web

from whence_aggregator.callers.fleet import FleetCredentials
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.membership import Membership
from whence_aggregator.fullstop.instance_logs import InstanceLogs
from whence_aggregator.fullstop.lifecycles import Lifecycles
from whence_aggregator.fullstop.listing import ViolationLists
from whence_aggregator.fullstop.reporting import ViolationReporting
from whence_aggregator.fullstop.steps import ViolationSteps
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.http.cross_origin import preflights
from whence_aggregator.http.fullstop import FullstopCalls, WhitelistingCalls
from whence_aggregator.http.instance_logs import InstanceLogCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.violations import LivingViolations
from whence_common.clock import utc_now
from whence_common.settings_file import SettingsInvalid

_FILE_BYTES_MAX = 64 * 1024


def fullstop_routes(violations: LivingViolations, membership: Membership, caller_bytes: Limit) -> list[web.RouteDef]:
    """Return the routes of fullstop.'s interface, but for those of instance logs."""
    recorder, observing, now = violations.recorder, violations.observing, violations.now
    types = ViolationTypes(violations.rules.current.every)
    lists = ViolationLists(
        database=violations.database, members=violations.members, kept=violations.kept, types=types, now=now
    )
    steps = ViolationSteps(
        recorder=recorder, observing=observing, lists=lists, types=types, membership=membership, now=now,
        random_bytes=os.urandom,
    )  # fmt: skip
    calls = FullstopCalls(
        lists=lists, steps=steps, types=types, lifecycles=Lifecycles(violations.database), observing=observing,
        reporting=ViolationReporting(recorder=recorder, observing=observing, types=types, now=now),
        caller_bytes=caller_bytes,
    )  # fmt: skip
    return preflights([*calls.routes(), *WhitelistingCalls(steps, caller_bytes).routes()])


def instance_log_routes(
    settings: Settings, database: Database, ledger: Ledger, accounts: Container[str], limits: LiveLimits
) -> list[web.RouteDef]:
    """Return the route of instance logs, which refuses them where they are not configured. Raises SettingsInvalid."""
    wanted, logs, credentials = settings.instance_logs, None, None
    if wanted is not None:
        credentials = load_fleet(wanted.credentials_file)
        logs = InstanceLogs(
            database=database, ledger=ledger, accounts=accounts, account_day_bytes_max=wanted.account_day_bytes_max,
            keep_days=wanted.keep_days, now=utc_now,
        )  # fmt: skip
    attempts = limits.of("sign_in_attempts_per_address", "address")
    return InstanceLogCalls(logs=logs, credentials=credentials, attempts=attempts).routes()


def load_fleet(path: str) -> FleetCredentials:
    """Load the file of the fleet's credentials. Raises SettingsInvalid, or InputError for a malformed line."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(_FILE_BYTES_MAX + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise SettingsInvalid(
            "credentials-unreadable", f"instance_logs.credentials_file {path} cannot be read: {why}",
            fix="let the service's user read the file",
        ) from exc  # fmt: skip
    if len(content) > _FILE_BYTES_MAX:
        raise SettingsInvalid(
            "credentials-too-large", f"instance_logs.credentials_file is larger than {_FILE_BYTES_MAX} bytes"
        )
    return FleetCredentials.parse(text, name=path)
