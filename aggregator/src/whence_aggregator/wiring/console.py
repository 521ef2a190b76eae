"""Wiring of the console."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from whence_aggregator.callers.browser_sessions import BrowserSessions
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.console.places import PLACES
from whence_aggregator.http.console import ConsoleCalls
from whence_aggregator.http.console_answers import PublicAddress
from whence_aggregator.http.console_live import ConsoleLive
from whence_aggregator.http.console_sign_in import ConsoleSignIn
from whence_aggregator.http.inside import Inside
from whence_aggregator.http.shared_answers import SharedAnswers
from whence_aggregator.ports import Database
from whence_aggregator.settings.console import console_of, origin_of
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring import settings_files
from whence_aggregator.wiring.sign_in import SigningIn
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause


def console_routes(
    settings: Settings,
    database: Database,
    signing_in: SigningIn,
    routes: Sequence[web.RouteDef],
    draining: Callable[[], bool],
) -> list[web.RouteDef]:
    """Return the console's routes, whose pages are made of answers of `routes`; none if it is off.

    `draining` states whether the program is about to end.
    """
    console = console_of(settings.console)
    origin = origin_of(console, settings.audience) if console is not None else None
    if console is None or origin is None:
        return []
    seal = Seal(
        settings_files.load_secret(Path(settings.heartbeat_secret_file)), purpose="console",
        random_bytes=secrets.token_bytes,
    )  # fmt: skip
    sessions = BrowserSessions(
        database=database, seal=seal, seconds_max=console.session_seconds_max, random_text=secrets.token_urlsafe,
        now=utc_now,
    )  # fmt: skip
    address = PublicAddress(origin=origin)
    inside = Inside(routes, signing_in.sign_in)
    shared = SharedAnswers()
    live = ConsoleLive(
        inside=inside, sessions=sessions, address=address, shared=shared, now=utc_now, draining=draining, pause=pause
    )
    return [
        *ConsoleSignIn(
            sign_in=signing_in.sign_in, sessions=sessions, address=address, issuers=(), now=utc_now
        ).routes(),
        *live.routes(),
        *ConsoleCalls(
            places=PLACES,
            inside=inside,
            sessions=sessions,
            address=address,
            now=utc_now,
            shared=shared,
            signed_out=live.end,
        ).routes(),
    ]
