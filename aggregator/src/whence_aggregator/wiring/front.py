"""Wiring of the registry front, within `serve` or as a separate program."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from whence_aggregator.adapters.backend import Backend
from whence_aggregator.adapters.front_images import FrontImages
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.collect.collectors import Collector, finding_of
from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.collect.image_reader import RegistryImageReader
from whence_aggregator.collect.measured import Questions
from whence_aggregator.http.front_blobs import BlobCalls
from whence_aggregator.http.front_manifests import FrontCalls
from whence_aggregator.http.images import ImageCalls
from whence_aggregator.http.pierone import PierOneCalls
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.http.server import Server
from whence_aggregator.http.sign_in import SignInCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.ports import Database, ImageStore
from whence_aggregator.registry.access import Access
from whence_aggregator.registry.adoption import Adopted, Adoption
from whence_aggregator.registry.catalog import Catalog
from whence_aggregator.registry.listing import ImageListing
from whence_aggregator.registry.pushes import Pushes, Rules
from whence_aggregator.registry.sources import Sources
from whence_aggregator.registry.uploads import Uploads
from whence_aggregator.settings.front import RegistryFrontSettings
from whence_aggregator.settings.server import Settings
from whence_aggregator.storage.measured import MeasuredDatabase
from whence_aggregator.wiring import parts, settings_files
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.operations import (
    Operations,
    Program,
    TokenCallers,
    answering,
    load_known,
    load_questions,
    load_reload,
)
from whence_aggregator.wiring.organisation import load_allowed
from whence_aggregator.wiring.outgoing import Outgoing, load_backend, open_outgoing
from whence_aggregator.wiring.pulls import Pulling, load_pulling
from whence_aggregator.wiring.sign_in import SigningIn, load_sign_in
from whence_common.clock import utc_now
from whence_common.settings_file import SettingsInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What the front depends on."""

    settings: RegistryFrontSettings
    backend: Backend
    catalog: Catalog
    windows: Windows

    def listing_routes(self, database: Database) -> list[web.RouteDef]:
        return ImageCalls(listing=ImageListing(database=database, name=self.settings.name)).routes()

    @property
    def images(self) -> dict[str, ImageStore]:
        return {self.settings.name: FrontImages(backend=self.backend, catalog=self.catalog, windows=self.windows)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The front, ready to be served."""

    routes: list[web.RouteDef]
    agent_routes: list[web.RouteDef]
    """Paths of agents; the server asks for no token there, because each call carries its own proof."""
    sources: Sources
    pushes: Pushes
    backend: Backend
    database: Database
    allowed: AllowedAccounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A front that runs alone, and its metrics."""

    front: Front
    known: TokenCallers
    signing_in: SigningIn
    limits: LiveLimits
    database: MeasuredDatabase
    questions: Questions


def load_behind(settings: Settings, database: Database, outgoing: Outgoing) -> Behind | None:
    """Build what the front depends on; None when no front is configured. Raises SettingsInvalid."""
    if settings.registry_front is None:
        return None
    registry = settings.registry_front
    backend = load_backend(registry, settings, outgoing)
    catalog = Catalog(database=database, name=registry.name)
    return Behind(settings=registry, backend=backend, catalog=catalog, windows=outgoing.windows)


def load_front(
    settings: Settings,
    behind: Behind,
    database: Database,
    ledger: Ledger,
    images: RegistryImageReader,
    collectors: Mapping[str, Collector],
    signing_in: SigningIn,
    limits: LiveLimits,
    session: aiohttp.ClientSession,
    on_work: Callable[[], None],
) -> Front:
    """Build the front."""
    registry, backend, catalog = behind.settings, behind.backend, behind.catalog
    secret = settings_files.load_secret(Path(settings.heartbeat_secret_file))
    allowed = load_allowed(settings, database)
    pulling = load_pulling(settings, registry, secret, database, allowed)
    access = _access(registry, pulling, signing_in)
    recorder = FactRecorder(ledger=ledger, collectors=collectors, now=utc_now)
    sources = Sources(
        database=database,
        reader=images,
        collect=recorder.collect,
        finding_of=finding_of,
        name=registry.name,
        now=utc_now,
    )
    rules = Rules(
        name=registry.name,
        snapshots=registry.snapshots,
        scratch_teams=frozenset(registry.scratch_teams),
        signature_tags_move=registry.signature_tags_move,
    )
    pushes = Pushes(database=database, ledger=ledger, backend=backend, rules=rules, now=utc_now, on_work=on_work)
    calls = FrontCalls(
        access=access,
        catalog=catalog,
        pushes=pushes,
        backend=backend,
        sources=sources,
        name=registry.name,
        url=registry.url.rstrip("/") if registry.url else None,
        source_required=registry.scm_source_required,
    )
    uploads = Uploads(
        uploads=backend,
        seal=Seal(secret, purpose="upload", random_bytes=secrets.token_bytes),
        blob_bytes_max=registry.blob_bytes_max,
        now=utc_now,
    )
    blobs = BlobCalls(calls=calls, access=access, uploads=uploads, backend=backend, catalog=catalog)
    pierone = PierOneCalls(calls=calls, access=access, catalog=catalog)
    return Front(
        routes=[*calls.routes(), *blobs.routes(), *pierone.routes()],
        agent_routes=pulling.routes(database, ledger, access, limits, session),
        sources=sources,
        pushes=pushes,
        backend=backend,
        database=database,
        allowed=allowed,
    )


def _access(
    registry: RegistryFrontSettings,
    pulling: Pulling,
    signing_in: SigningIn,
) -> Access:
    return Access(
        sign_in=signing_in.sign_in,
        membership=signing_in.membership,
        documents=pulling.documents(),
        instances=pulling.instances,
        pull_rule=pulling.rule,
        public_read=registry.public_read,
        open_teams=frozenset(registry.scratch_teams if registry.insecure_open_scratch else ()),
        seal=Seal(pulling.secret, purpose="token", random_bytes=secrets.token_bytes),
        now=utc_now,
    )


async def run_registry(
    settings: Settings,
    *,
    read: Callable[[], Settings],
    database_location: str | None,
    listening: Callable[[int], None],
) -> None:
    """Run the front alone until a signal ends it; `read` reads the settings again.

    Raises WhenceError or OSError when it cannot start.
    """
    async with opened_registry(
        settings, read=read, database_location=database_location, listening=listening
    ) as program:
        await program.run()


@asynccontextmanager
async def opened_registry(
    settings: Settings,
    *,
    read: Callable[[], Settings],
    database_location: str | None,
    listening: Callable[[int], None],
) -> AsyncIterator[Program]:
    """Open the parts of the front alone for the block's duration. Raises WhenceError or OSError."""
    async with AsyncExitStack() as stack:
        opened = await open_front(settings, database_location, stack)
        front, known = opened.front, opened.known
        registry = settings.registry_front
        assert registry is not None, "open_front checks this"
        tls = settings_files.load_tls(settings)
        readiness = Readiness(answering(front.database))
        operations = Operations(
            "registry", settings, readiness=readiness, tls=tls, known=known, signing_in=opened.signing_in
        )
        server = Server(
            routes=[
                *operations.routes(opened.database.families, opened.questions.families),
                *SignInCalls(opened.signing_in.sign_in, opened.signing_in.command_clients).routes(),
                *front.agent_routes,
            ],
            proving=front.routes,
            sign_in=opened.signing_in.sign_in,
            address=registry.listen_address,
            port=registry.listen_port,
            tls=tls.context if tls is not None else None,
            listening=listening,
            proxies=parts.load_proxies(settings),
            around=operations.around,
            refused=operations.refused,
        )
        reload = load_reload(operations, opened.limits, settings, read)
        services = {"sources": front.sources.run, "accounts": front.allowed.run, "sign-in": opened.signing_in.run}
        yield Program(operations=operations, server=server, services=services, reload=reload)


async def import_registry(
    settings: Settings, repositories: tuple[str, ...], *, database_location: str | None, say: Callable[[str], None]
) -> Adopted:
    """Record the tags that the registry behind had before the front. Raises WhenceError or OSError."""
    async with AsyncExitStack() as stack:
        front = (await open_front(settings, database_location, stack)).front
        assert settings.registry_front is not None, "open_front checks this"
        adoption = Adoption(
            contents=front.backend,
            pushes=front.pushes,
            database=front.database,
            name=settings.registry_front.name,
            now=utc_now,
        )
        return await adoption.run(repositories, say=say)


async def open_front(settings: Settings, database_location: str | None, stack: AsyncExitStack) -> Opened:
    """Open the database and build a front that runs alone. Raises WhenceError."""
    if settings.registry_front is None:
        raise SettingsInvalid("registry-unset", "no registry front is configured", fix="set registry_front")
    database = await parts.open_measured(settings, database_location, stack)
    session = await stack.enter_async_context(parts.new_session())
    outgoing = open_outgoing(session, stack)
    own_file = msgspec.structs.replace(settings, checkpoint_file=f"{settings.checkpoint_file}.registry")
    await parts.check_heartbeat_secret(settings, database)
    ledger = await parts.start_ledger(own_file, database, stack, beside=Path(settings.checkpoint_file))
    behind = load_behind(settings, database, outgoing)
    assert behind is not None, "the settings of the front were checked"
    images = parts.load_image_reader(settings, database, outgoing, behind.images)
    questions = load_questions(settings)
    collectors = questions.of(parts.load_collectors(settings, images, session, {}))
    known = load_known(settings, database)
    limits = LiveLimits(settings.limits)
    signing_in = load_sign_in(settings, database, known.callers, session, limits, stack)
    front = load_front(
        settings, behind, database, ledger, images, collectors, signing_in, limits, session, lambda: None
    )
    return Opened(
        front=front, known=known, signing_in=signing_in, limits=limits, database=database, questions=questions
    )
