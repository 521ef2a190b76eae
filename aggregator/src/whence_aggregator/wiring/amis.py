"""Wiring of statements about AMIs, and of the search by package."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.amis.listing import KnownAmis
from whence_aggregator.amis.recording import AmiRecording
from whence_aggregator.http.amis import AmiCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.settings_files import load_ami_builders, trusted_ami_builders
from whence_common.clock import utc_now


def ami_routes(settings: Settings, database: Database, ledger: Ledger) -> list[web.RouteDef]:
    """Return the routes of statements about AMIs. Raises SettingsInvalid."""
    return AmiCalls(
        recording=AmiRecording(ledger=ledger, now=utc_now),
        known=KnownAmis(database=database, trusted=trusted_ami_builders(settings)),
        builders=load_ami_builders(settings),
    ).routes()
