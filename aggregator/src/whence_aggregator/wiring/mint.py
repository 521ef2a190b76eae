"""Wiring of mint, within `serve` or as a separate program."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiohttp import web

from whence_aggregator.adapters.aws_clients import ServiceClients
from whence_aggregator.adapters.mint.bucket_calls import BucketCalls
from whence_aggregator.adapters.mint.credential_buckets import S3CredentialBuckets
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.credentials import CredentialCalls
from whence_aggregator.http.mint import MintCalls
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.http.server import Server
from whence_aggregator.http.sign_in import SignInCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.mint.applications import MintApplications
from whence_aggregator.mint.assembly import MintOutside, rotation_of
from whence_aggregator.mint.bucket_places import BucketPlaces
from whence_aggregator.mint.holders import StatedHolders
from whence_aggregator.mint.key import MintKey
from whence_aggregator.mint.key_known import note_key
from whence_aggregator.mint.kio import RegisteredApplications
from whence_aggregator.mint.log_known import note_log
from whence_aggregator.mint.pace import ProviderPace
from whence_aggregator.mint.store import MINT_KIND, MintStore
from whence_aggregator.mint.values import CredentialKind
from whence_aggregator.mint.work import UNDER_WAY_MAX, MintWork
from whence_aggregator.ports import Database
from whence_aggregator.settings.mint import MintSettings, bucket_row, default_provider, rules_of
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.listening import Listening
from whence_aggregator.wiring import parts, settings_files
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.mint_files import load_external_id, load_mint_key
from whence_aggregator.wiring.mint_providers import load_providers
from whence_aggregator.wiring.operations import Operations, Program, answering, load_known, load_questions, load_reload
from whence_aggregator.wiring.outgoing import Outgoing, open_outgoing
from whence_aggregator.wiring.sign_in import load_sign_in
from whence_aggregator.wiring.work import load_worker
from whence_aggregator.work.task import Work
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.settings_file import SettingsInvalid

log = logging.getLogger(__name__)

_GENERATION_BYTES = 16
_SESSION = "whence-mint"
_KEY_FIX = 'restore the file, or copy it from the other replica; if the key is lost, see "Another key" in the README'


@dataclass(slots=True, kw_only=True)
class Mint:
    """mint, ready to be served. `wake` is replaced by that of the worker."""

    settings: MintSettings
    applications: MintApplications
    holders: StatedHolders
    kio: RegisteredApplications
    places: BucketPlaces
    provider_kinds: Mapping[str, frozenset[CredentialKind]]
    kinds: Mapping[str, Work]
    wake: Callable[[], None] = lambda: None

    def routes(self, membership: Membership, *, path: str) -> list[web.RouteDef]:
        """Return the storage API below a path, and the API of credentials."""
        write_all = frozenset(self.settings.write_all)
        calls = MintCalls(
            applications=self.applications, kio=self.kio, membership=membership, providers=self.provider_kinds,
            default_provider=default_provider(self.settings), username_prefix=self.settings.username_prefix,
            write_all=write_all, places=self.places, path=path,
        )  # fmt: skip
        credentials = CredentialCalls(
            applications=self.applications, kio=self.kio, membership=membership, holders=self.holders,
            write_all=write_all, now=utc_now,
        )  # fmt: skip
        return [*calls.routes(), *credentials.routes()]


async def load_mint(
    settings: Settings, stated: MintSettings, database: Database, ledger: Ledger, outgoing: Outgoing,
    stack: AsyncExitStack, heard: Listening,
) -> Mint:  # fmt: skip
    """Build mint, and queue its applications. Raises SettingsInvalid, StorageUnavailable."""
    secret = load_mint_key(stated.key_file)
    key, rules = MintKey(secret, random_bytes=secrets.token_bytes), rules_of(stated)
    store = MintStore(database=database, ledger=ledger)
    await store.queue_all(utc_now())
    if await note_key(database, key):
        log.error("mint's key is not the one that was used last", extra=fields(key_file=stated.key_file, fix=_KEY_FIX))
    providers = load_providers(stated, secret, outgoing)
    pace = ProviderPace(
        seconds=time.monotonic, pause=pause,
        between={name: one.seconds_between for name, one in stated.providers.items()},
    )  # fmt: skip
    backoff = Backoff(first_seconds=5.0, longest_seconds=900.0, random=random.random)
    places = _load_places(settings, stated)
    holders, kio = StatedHolders(database=database, listening=heard), RegisteredApplications(database)
    outside = MintOutside(
        providers=providers, buckets=_load_buckets(settings, places, stack), holders=holders, known=kio
    )
    rotation = rotation_of(
        store, outside, key, rules=rules, pace=pace, backoff=backoff, now=utc_now,
        random_hex=lambda: secrets.token_hex(_GENERATION_BYTES),
        restored_at=await note_log(database, ledger.origin, utc_now()),
    )  # fmt: skip
    work = Work(handler=MintWork(rotation=rotation, random=random.random), under_way_max=UNDER_WAY_MAX)
    mint = Mint(
        settings=stated, holders=holders, kio=kio, places=places, kinds={MINT_KIND: work},
        provider_kinds={name: one.clients.kinds for name, one in providers.items()},
        applications=MintApplications(
            store=store, now=utc_now, on_work=lambda: mint.wake(),
            per_generation=[name for name, one in providers.items() if one.clients.has_client_per_generation],
        ),
    )  # fmt: skip
    return mint


def _load_buckets(settings: Settings, places: BucketPlaces, stack: AsyncExitStack) -> S3CredentialBuckets:
    clients = ServiceClients(
        endpoint_url=settings.aws_endpoint_url, session_name=_SESSION, clock=asyncio.get_running_loop().time,
        attempts_max=1,
    )  # fmt: skip
    stack.push_async_callback(clients.close)
    calls = BucketCalls(clients=clients, pause=asyncio.sleep, random=random.random)
    return S3CredentialBuckets(calls=calls, places=places, clock=time.monotonic)


def _load_places(settings: Settings, mint: MintSettings) -> BucketPlaces:
    rows = [
        bucket_row(
            one,
            load_external_id(f"mint.buckets[{number}].external_id_file", one.external_id_file)
            if one.external_id_file is not None
            else None,
        )
        for number, one in enumerate(mint.buckets)
    ]
    return BucketPlaces(rows, accounts=frozenset({*settings.accounts, *mint.accounts}))


async def load_served_mint(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    outgoing: Outgoing,
    stack: AsyncExitStack,
    heard: Listening,
) -> Mint | None:
    """Build mint for `serve`; None where it runs alone, so that `serve` never reads its key. Raises as `load_mint`."""
    if settings.mint is None or settings.mint.alone:
        return None
    return await load_mint(settings, settings.mint, database, ledger, outgoing, stack, heard)


def served_routes(
    settings: Settings, mint: Mint | None, database: Database, ledger: Ledger, heard: Listening, membership: Membership
) -> list[web.RouteDef]:
    """Return the routes of mint in `serve`. Where it runs alone, `serve` shows credentials, and records renewals."""
    if mint is not None:
        return mint.routes(membership, path=mint.settings.path)
    if settings.mint is None:
        return []
    store = MintStore(database=database, ledger=ledger)
    return CredentialCalls(
        applications=MintApplications(store=store, now=utc_now, on_work=lambda: None),
        kio=RegisteredApplications(database), membership=membership,
        holders=StatedHolders(database=database, listening=heard),
        write_all=frozenset(settings.mint.write_all), now=utc_now,
    ).routes()  # fmt: skip


async def run_mint(
    settings: Settings,
    *,
    read: Callable[[], Settings],
    database_location: str | None,
    listening: Callable[[int], None],
) -> None:
    """Run mint alone until a signal ends it; `read` reads the settings again.

    Raises WhenceError or OSError when it cannot start.
    """
    async with opened_mint(settings, read=read, database_location=database_location, listening=listening) as program:
        await program.run()


@asynccontextmanager
async def opened_mint(
    settings: Settings,
    *,
    read: Callable[[], Settings],
    database_location: str | None,
    listening: Callable[[int], None],
) -> AsyncIterator[Program]:
    """Open the parts of mint alone for the block's duration. Raises WhenceError or OSError."""
    if settings.mint is None:
        raise SettingsInvalid("mint-unset", "no mint is configured", fix="set mint")
    tls = settings_files.load_tls(settings)
    async with AsyncExitStack() as stack:
        database = await parts.open_measured(settings, database_location, stack)
        session = await stack.enter_async_context(parts.new_session())
        outgoing = open_outgoing(session, stack)
        await parts.check_heartbeat_secret(settings, database)
        own_file = msgspec.structs.replace(settings, checkpoint_file=f"{settings.checkpoint_file}.mint")
        ledger = await parts.start_ledger(own_file, database, stack, beside=Path(settings.checkpoint_file))
        heard = await parts.load_listening(settings, database)
        mint = await load_mint(settings, settings.mint, database, ledger, outgoing, stack, heard)
        worker = load_worker(database, mint.kinds, does=lambda kind: kind in mint.kinds)
        mint.wake = worker.wake
        known = load_known(settings, database)
        limits = LiveLimits(settings.limits)
        signing_in = load_sign_in(settings, database, known.callers, session, limits, stack)
        operations = Operations(
            "mint", settings, readiness=Readiness(answering(database)), tls=tls, known=known, signing_in=signing_in
        )
        server = Server(
            routes=[
                *operations.routes(database.families, load_questions(settings).families),
                *SignInCalls(signing_in.sign_in, signing_in.command_clients).routes(),
                *mint.routes(signing_in.membership, path=""),
            ],
            proving=[],
            sign_in=signing_in.sign_in,
            address=settings.mint.listen_address,
            port=settings.mint.listen_port,
            tls=tls.context if tls is not None else None,
            listening=listening,
            proxies=parts.load_proxies(settings),
            around=operations.around,
            refused=operations.refused,
        )
        reload = load_reload(operations, limits, settings, read)
        services = {"worker": worker.run, "sign-in": signing_in.run}
        yield Program(operations=operations, server=server, services=services, reload=reload)
