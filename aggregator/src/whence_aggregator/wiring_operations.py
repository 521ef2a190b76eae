"""Wiring of what operators rely on in each program that serves: who is known, reloading, readiness, the end."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp.typedefs import Handler

from whence_aggregator import wiring_parts as parts
from whence_aggregator.adapters.server_tls import ServerTls
from whence_aggregator.adapters.tokens_file import TokensFile
from whence_aggregator.callers import Callers, TokenUses
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.http.server import Server
from whence_aggregator.ports import Database
from whence_aggregator.reload import Reload
from whence_aggregator.settings import Settings
from whence_aggregator.witness_settings import WitnessFile
from whence_common.clock import utc_now
from whence_common.lifecycle import Service, run_until_signal
from whence_common.pause import pause
from whence_common.settings_file import SettingsInvalid

_TLS = frozenset({"tls_certificate_file", "tls_key_file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Who may call, the file that states it, and what keeps when they called last."""

    callers: Callers
    file: TokensFile
    uses: TokenUses

    @property
    def services(self) -> Mapping[str, Service]:
        return {"tokens": self.file.run, "token uses": self.uses.run}

    def prepare(self, settings: Settings) -> Callable[[], None]:
        return self.file.prepare(settings.tokens_file)


def load_known(settings: Settings, database: Database) -> Known:
    """Read the file of tokens. Raises SettingsInvalid or TokensInvalid."""
    callers = Callers(parts.load_callers(settings.tokens_file), now=utc_now)
    return Known(
        callers=callers,
        file=TokensFile(settings.tokens_file, callers=callers, load=parts.load_callers),
        uses=TokenUses(database=database, callers=callers, now=utc_now),
    )


def answering(database: Database) -> Callable[[], Awaitable[object]]:
    """Return what finds out whether a database answers."""
    return lambda: database.fetch("last_index", {})


@dataclass(slots=True)
class Live:
    """Settings that a reload changes."""

    drain_seconds: float

    def prepare(self, settings: Settings | WitnessFile) -> Callable[[], None]:
        def apply() -> None:
            self.drain_seconds = settings.drain_seconds

        return apply


class Operations:
    """How a program that serves starts, is reloaded, and ends."""

    def __init__(self, settings: Settings | WitnessFile, *, readiness: Readiness, tls: ServerTls | None) -> None:
        self.live = Live(settings.drain_seconds)
        self.readiness = readiness
        self.tls = tls

    def around(self, _: str, handler: Handler) -> Handler:
        """Put around each handler what watches requests."""
        return self.readiness.around(handler)

    async def run(
        self, server: Server, services: Mapping[str, Service], *, reload: Callable[[], bool], known: Known | None = None
    ) -> None:
        """Serve until SIGTERM: then be not ready, go on for `drain_seconds`, answer what is under way, and end."""

        async def stop() -> None:
            self.readiness.drain()
            await pause(self.live.drain_seconds)
            await server.finish()
            if known is not None:
                await known.uses.keep()

        own = known.services if known is not None else {}
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
            raise SettingsInvalid("tls-off", "TLS cannot be switched off by a reload", fix="restart")
        return self.tls.prepare(certificate, key)


def load_reload(
    operations: Operations, known: Known, limits: parts.LiveLimits, settings: Settings,
    read: Callable[[], Settings],
) -> Reload[Settings]:  # fmt: skip
    """Make what a SIGHUP starts, in `serve` and in the front alone."""
    live = {"tokens_file", "drain_seconds", "limits"} | (_TLS if operations.tls is not None else frozenset())
    prepare = [known.prepare, operations.prepare_tls, operations.live.prepare, limits.prepare]
    return Reload(read=read, settings=settings, live=frozenset(live), prepare=prepare)


def load_witness_reload(
    operations: Operations, settings: WitnessFile, read: Callable[[], WitnessFile]
) -> Reload[WitnessFile]:
    """Make what a SIGHUP starts in the witness."""
    live = frozenset({"drain_seconds"}) | (_TLS if operations.tls is not None else frozenset())
    prepare = [operations.prepare_tls, operations.live.prepare]
    return Reload(read=read, settings=settings, live=live, prepare=prepare)


def _nothing() -> None:
    """Change nothing."""


def _end_now() -> None:
    """End the process where it stands: nothing was acknowledged that is not durable."""
    os._exit(0)
