"""Wiring of the console."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from whence_aggregator.adapters.openid_client import OpenIdClient
from whence_aggregator.callers.browser_sessions import BrowserSessions
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.console.places import PLACES
from whence_aggregator.http.console import ConsoleCalls
from whence_aggregator.http.console_answers import PublicAddress
from whence_aggregator.http.console_links import ConsoleLinks, LinkCalls
from whence_aggregator.http.console_live import ConsoleLive
from whence_aggregator.http.console_openid import ConsoleIssuer, ConsoleOpenId
from whence_aggregator.http.console_sign_in import ConsoleSignIn
from whence_aggregator.http.inside import Inside
from whence_aggregator.http.shared_answers import SharedAnswers
from whence_aggregator.openid.metadata import SignInClient
from whence_aggregator.ports import Database
from whence_aggregator.settings.console import console_of, origin_of
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.sign_in import SignInSettings
from whence_aggregator.wiring import settings_files
from whence_aggregator.wiring.outgoing import Outgoing
from whence_aggregator.wiring.sign_in import SigningIn, read_secret
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Where the console is, and its sessions."""

    sessions: BrowserSessions
    address: PublicAddress
    issuers: Mapping[str, ConsoleIssuer]


def load_console(settings: Settings, database: Database, outgoing: Outgoing) -> Console | None:
    """Build the console's sessions; None if it is off. Raises SettingsInvalid."""
    console = console_of(settings.console)
    origin = origin_of(console, settings.audience) if console is not None else None
    if console is None or origin is None:
        return None
    seal = Seal(
        settings_files.load_secret(Path(settings.heartbeat_secret_file)), purpose="console",
        random_bytes=secrets.token_bytes,
    )  # fmt: skip
    sessions = BrowserSessions(
        database=database, seal=seal, seconds_max=console.session_seconds_max, random_text=secrets.token_urlsafe,
        now=utc_now,
    )  # fmt: skip
    issuers = _issuers(settings.sign_in, outgoing)
    return Console(sessions=sessions, address=PublicAddress(origin=origin), issuers=issuers)


def link_routes(console: Console | None) -> list[web.RouteDef]:
    """Return the part of the API that is about the console."""
    if console is None:
        return LinkCalls(sessions=None, address=None).routes()
    return LinkCalls(sessions=console.sessions, address=console.address).routes()


def console_routes(
    console: Console | None, signing_in: SigningIn, routes: Sequence[web.RouteDef], draining: Callable[[], bool]
) -> list[web.RouteDef]:
    """Return the console's routes, whose pages are made of answers of `routes`; none if it is off.

    `draining` states whether the program is about to end.
    """
    if console is None:
        return []
    sign_in, sessions, address = signing_in.sign_in, console.sessions, console.address
    inside, shared = Inside(routes, sign_in), SharedAnswers()
    pages = ConsoleSignIn(
        sign_in=sign_in, sessions=sessions, address=address, issuers=tuple(console.issuers), now=utc_now
    )
    openid = ConsoleOpenId(
        issuers=console.issuers, sign_in=sign_in, sessions=sessions, address=address, pages=pages,
        random_text=secrets.token_urlsafe, now=utc_now,
    )  # fmt: skip
    live = ConsoleLive(
        inside=inside, sessions=sessions, address=address, shared=shared, now=utc_now, draining=draining, pause=pause
    )
    calls = ConsoleCalls(
        places=PLACES, inside=inside, sessions=sessions, address=address, now=utc_now, shared=shared,
        signed_out=live.end,
    )  # fmt: skip
    return [
        *pages.routes(),
        *openid.routes(),
        *ConsoleLinks(sign_in=sign_in, sessions=sessions, address=address, pages=pages).routes(),
        *live.routes(),
        *calls.routes(),
    ]


def _issuers(wanted: SignInSettings, outgoing: Outgoing) -> dict[str, ConsoleIssuer]:
    """Return the issuers that people sign in at, by name. Raises SettingsInvalid."""
    found = {}
    listed = [(f"sign_in.issuers[{number}]", one.issuer, one.console) for number, one in enumerate(wanted.issuers)]
    if wanted.introspection is not None:
        listed.append(("sign_in.introspection", wanted.introspection.issuer, wanted.introspection.console))
    for name, issuer, client in listed:
        if client is not None:
            file = client.client_secret_file
            secret = read_secret(Path(file), f"{name}.console.client_secret_file") if file is not None else None
            stated = SignInClient(
                issuer=issuer, client_id=client.client_id, scopes=tuple(client.scopes), resource=client.resource,
                prompt=client.prompt,
            )  # fmt: skip
            exchange = OpenIdClient(session=outgoing.session, issuer=issuer, client_id=client.client_id, secret=secret)
            found[issuer] = ConsoleIssuer(client=stated, exchange=exchange)
    return found
