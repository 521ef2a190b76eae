"""Wiring of the operations of each server: known callers, reload, readiness, metrics, shutdown."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from whence_aggregator import __version__
from whence_aggregator.adapters.process_state import process_families
from whence_aggregator.adapters.server_tls import ServerTls
from whence_aggregator.adapters.tokens_file import TokensFile
from whence_aggregator.callers.known import Callers, TokenUses
from whence_aggregator.collect.measured import Questions
from whence_aggregator.http.measures import HttpMeasures
from whence_aggregator.http.metrics import MetricsCalls, Source
from whence_aggregator.http.operators import ProbeCalls
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.http.refused import RefusedCounts
from whence_aggregator.http.server import Server
from whence_aggregator.ledger.log_reader import size_of
from whence_aggregator.ledger.publishing import Publisher
from whence_aggregator.ports import Database
from whence_aggregator.settings.reload import Prepare, Reload
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.witness import WitnessFile
from whence_aggregator.wiring import settings_files
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.sign_in import SigningIn
from whence_common.clock import utc_now
from whence_common.image_reference import registry_name
from whence_common.meters import Counter
from whence_common.open_metrics import Family, Sample, gauge
from whence_common.runtime.lifecycle import Service, run_until_signal
from whence_common.runtime.pause import pause
from whence_common.settings_file import SettingsInvalid

_TLS = frozenset({"tls_certificate_file", "tls_key_file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCallers:
    """Known callers, the file that lists them, and the record of their last calls."""

    callers: Callers
    file: TokensFile
    uses: TokenUses

    @property
    def services(self) -> Mapping[str, Service]:
        return {"tokens": self.file.run, "token uses": self.uses.run}

    def prepare(self, settings: Settings) -> Callable[[], None]:
        return self.file.prepare(settings.tokens_file)


def load_known(settings: Settings, database: Database) -> TokenCallers:
    """Read the file of tokens. Raises SettingsInvalid or TokensInvalid."""
    callers = Callers(settings_files.load_callers(settings.tokens_file), now=utc_now)
    return TokenCallers(
        callers=callers,
        file=TokensFile(settings.tokens_file, callers=callers, load=settings_files.load_callers),
        uses=TokenUses(database=database, callers=callers, now=utc_now),
    )


def answering(database: Database) -> Callable[[], Awaitable[object]]:
    """Return the check that a database answers."""
    return lambda: size_of(database)


@dataclass(slots=True)
class Live:
    """Settings that a reload changes."""

    drain_seconds: float
    labels_public: bool

    def prepare(self, settings: Settings | WitnessFile) -> Callable[[], None]:
        def apply() -> None:
            self.drain_seconds = settings.drain_seconds
            self.labels_public = _labels_public(settings)

        return apply


class Operations:
    """Starts, reloads and stops a server."""

    def __init__(
        self, program: str, settings: Settings | WitnessFile, *, readiness: Readiness, tls: ServerTls | None,
        known: TokenCallers | None = None, signing_in: SigningIn | None = None,
    ) -> None:  # fmt: skip
        self.program = program
        self.live = Live(drain_seconds=settings.drain_seconds, labels_public=_labels_public(settings))
        self.readiness = readiness
        self.tls = tls
        self.known = known
        self.signing_in = signing_in
        self.measures = HttpMeasures()
        self.refused = RefusedCounts()
        self.reloads = Counter(
            "whence_reloads", "Reloads, by how they ended.", ("outcome",), known=[("applied",), ("refused",)]
        )

    def around(self, path: str, handler: Handler) -> Handler:
        """Wrap a handler with metrics and the connection's end while the process drains."""
        return self.measures.around(path, self.readiness.around(handler))

    def routes(
        self, *sources: Source, stored: Callable[[], Awaitable[Sequence[Family]]] | None = None
    ) -> list[web.RouteDef]:
        """Return the probes and the metrics; `sources` and `stored` are this program's own."""
        metrics = MetricsCalls(
            sources=[self._about, self.measures.families, *sources],
            files=process_families,
            stored=stored,
            sign_in=self.signing_in.sign_in if self.signing_in is not None else None,
            labels_public=lambda: self.live.labels_public,
        )
        return [*ProbeCalls(self.readiness).routes(), *metrics.routes()]

    def _about(self) -> Sequence[Family]:
        """Describe the program, its tokens and its certificate."""
        about = Sample(1, {"program": self.program, "version": __version__})
        found = [
            Family(name="whence_build", kind="info", help="Program and version.", samples=(about,)),
            self.reloads.family(),
            self.refused.family(),
        ]
        if self.tls is not None:
            name = "whence_tls_certificate_expires_timestamp_seconds"
            found.append(gauge(name, "When the server's certificate expires.", self.tls.until.timestamp()))
        if self.known is not None:
            tokens = [Sample(n, {"state": state}) for state, n in self.known.callers.counts().items()]
            help_ = "Tokens that are valid, those of them that expire within two weeks, and expired ones."
            until = self.known.callers.until()
            found += [
                Family(name="whence_tokens", kind="gauge", help=help_, samples=tokens),
                gauge(
                    "whence_token_expires_timestamp_seconds", "When the next of the valid tokens expires.",
                    until.timestamp() if until is not None else None,
                ),
            ]  # fmt: skip
        return [*found, *self.signing_in.families()] if self.signing_in is not None else found

    async def run(self, server: Server, services: Mapping[str, Service], *, reload: Callable[[], bool]) -> None:
        """Serve until SIGTERM: then fail /ready, serve for `drain_seconds`, finish requests in progress, and end."""

        async def stop() -> None:
            self.readiness.drain()
            await pause(self.live.drain_seconds)
            await server.finish()
            if self.known is not None:
                await self.known.uses.keep()

        own = self.known.services if self.known is not None else {}
        try:
            await run_until_signal(
                {"http": server.run, **services, **own}, on_stopping=stop, may_reload=reload, give_up=_end_now
            )
        finally:
            await self.readiness.close()

    def prepare_tls(self, settings: Settings | WitnessFile) -> Callable[[], None]:
        """Load certificate and key again. Raises SettingsInvalid."""
        certificate, key = settings.tls_certificate_file, settings.tls_key_file
        if self.tls is None:
            return _nothing
        if certificate is None or key is None:
            raise SettingsInvalid("tls-off", "a reload cannot switch TLS off", fix="restart the server")
        return self.tls.prepare(certificate, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program whose parts are open; its server does not listen yet."""

    operations: Operations
    server: Server
    services: Mapping[str, Service]
    reload: Callable[[], bool]

    async def run(self) -> None:
        """Serve until a signal ends it."""
        await self.operations.run(self.server, self.services, reload=self.reload)


def load_reload(
    operations: Operations, limits: LiveLimits, settings: Settings, read: Callable[[], Settings],
    prepare_rules: Prepare[Settings] | None = None,
) -> Reload[Settings]:  # fmt: skip
    """Build the reload that SIGHUP starts, for `serve` and for the front alone, which has no rules."""
    known = operations.known
    assert known is not None, "both programs have callers"
    live = {"tokens_file", "drain_seconds", "metrics_public_labels", "limits"}
    live |= _TLS if operations.tls is not None else frozenset()
    prepare: list[Prepare[Settings]] = [
        known.prepare, operations.prepare_tls, operations.live.prepare, limits.prepare,
    ]  # fmt: skip
    if prepare_rules is not None:
        live |= {"own_rules_directory", "rules_off"}
        prepare.append(prepare_rules)
    return Reload(read=read, settings=settings, live=frozenset(live), prepare=prepare, count=operations.reloads.add)


def load_witness_reload(
    operations: Operations, settings: WitnessFile, read: Callable[[], WitnessFile]
) -> Reload[WitnessFile]:
    """Build the reload that SIGHUP starts, for the witness."""
    live = frozenset({"drain_seconds"}) | (_TLS if operations.tls is not None else frozenset())
    prepare = [operations.prepare_tls, operations.live.prepare]
    return Reload(read=read, settings=settings, live=live, prepare=prepare, count=operations.reloads.add)


def load_questions(settings: Settings) -> Questions:
    """Build the counter of requests to other systems."""
    own = [settings.registry_front.name] if settings.registry_front is not None else []
    return Questions(
        frozenset([*map(registry_name, settings.registries), *settings.git_servers, *settings.trackers, *own])
    )


def queue_families(*queues: Callable[[], Mapping[str, tuple[int, int]]]) -> Source:
    """Return metrics of the queues' lengths, by their names."""

    def families() -> Sequence[Family]:
        found = {name: state for one in queues for name, state in one().items()}
        waiting = [Sample(now, {"queue": name}) for name, (now, _) in found.items()]
        most = [Sample(limit, {"queue": name}) for name, (_, limit) in found.items()]
        help_ = "Requests that wait to be checked or committed."
        return (
            Family(name="whence_queue_waiting", kind="gauge", help=help_, samples=waiting),
            Family(name="whence_queue_most", kind="gauge", help="Maximum of requests that may wait.", samples=most),
        )

    return families


def all_of(*stored: Callable[[], Awaitable[Sequence[Family]]]) -> Callable[[], Awaitable[Sequence[Family]]]:
    """Return all metrics that are read from the database as one."""

    async def families() -> Sequence[Family]:
        return [family for one in stored for family in await one()]

    return families


def log_families(publisher: Publisher) -> Source:
    """Return metrics of the age of the published and of the witnessed checkpoint."""

    def families() -> Sequence[Family]:
        published, witnessed = publisher.ages()
        return (
            gauge("whence_checkpoint_age_seconds", "Time since a checkpoint was published.", published),
            gauge(
                "whence_unwitnessed_age_seconds",
                "Time since a published checkpoint had all its cosignatures; absent without witnesses.", witnessed,
            ),
        )  # fmt: skip

    return families


def _labels_public(settings: Settings | WitnessFile) -> bool:
    """Return whether labels are public; a witness has no labels to hide."""
    return settings.metrics_public_labels if isinstance(settings, Settings) else True


def _nothing() -> None:
    """Change nothing."""


def _end_now() -> None:
    """End the process at once: everything that was acknowledged is durable."""
    os._exit(0)
