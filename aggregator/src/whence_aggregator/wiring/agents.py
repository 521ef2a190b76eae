"""Wiring of what serves agents: enrolments, statements and heartbeats."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from whence_aggregator.agents.challenges import Challenges
from whence_aggregator.agents.enrolment import Enrolments
from whence_aggregator.agents.heartbeats import Heartbeats
from whence_aggregator.agents.ingest import Ingest
from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.ports import Database
from whence_aggregator.projections.statements import Combinations
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.listening import Listening
from whence_aggregator.wiring import parts, settings_files
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.work import Working
from whence_common.clock import utc_now
from whence_common.identity_document import Authorities


@dataclass(frozen=True, slots=True)
class Speaking:
    """The parts that serve agents."""

    enrolments: Enrolments
    ingest: Ingest
    heartbeats: Heartbeats


async def load_speaking(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    working: Working,
    authorities: Authorities,
    session: aiohttp.ClientSession,
    listening: Listening,
    limits: LiveLimits,
    stack: AsyncExitStack,
    allowed: AllowedAccounts,
) -> Speaking:
    """Return the parts that serve agents."""
    secret = settings_files.load_secret(Path(settings.heartbeat_secret_file))
    sightings = Sightings(secret)
    enrolments = Enrolments(
        database=database,
        ledger=ledger,
        challenges=Challenges(
            database=database, secret=secret, audience=settings.audience, now=utc_now, random_bytes=secrets.token_bytes
        ),
        authorities=authorities,
        accounts=allowed,
        audience=settings.audience,
        heartbeat_secret=secret,
        caller_identity=parts.load_sts(settings, authorities, session),
        sts_required=settings.sts == "required",
        document_seconds_max=settings.document_seconds_max,
        limits=limits.of_enrolments(),
        now=utc_now,
    )
    ingest = Ingest(
        ledger=ledger,
        enrolments=enrolments,
        verifier=await parts.load_verifier(settings, stack),
        combinations=Combinations(),
        sightings=sightings,
        instance_limit=limits.of("statements_per_instance", "instance"),
        account_limit=limits.of("statements_per_account", "account"),
        instance_bytes=limits.of("statement_bytes_per_instance", "instance"),
        account_bytes=limits.of("statement_bytes_per_account", "account"),
        now=utc_now,
        on_work=working.wake,
    )
    heartbeats = Heartbeats(
        database=database,
        secret=secret,
        sightings=sightings,
        listening=listening,
        limit=limits.of("heartbeats_per_instance", "instance"),
        now=utc_now,
    )
    return Speaking(enrolments, ingest, heartbeats)
