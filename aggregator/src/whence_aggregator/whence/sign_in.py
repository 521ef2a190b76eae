"""whence login, logout and whoami: a person signs in at the terminal, and the commands use the token from then on."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click
from click.decorators import pass_meta_key

from whence_aggregator.openid.authorization import AuthorizationRequest
from whence_aggregator.openid.metadata import ProviderMetadata, SignInClient, choose_client
from whence_aggregator.openid.tokens import Tokens, check_id_token
from whence_aggregator.whence.client import Client, Refused
from whence_aggregator.whence.connection import CONNECTION, AggregatorAccess, server_of
from whence_aggregator.whence.login.browser import Way, choose_way, open_browser, opens_browser
from whence_aggregator.whence.login.cache import TerminalSession, TokenCache
from whence_aggregator.whence.login.device import poll_until_confirmed
from whence_aggregator.whence.login.loopback import listening
from whence_aggregator.whence.login.provider import IdentityProvider
from whence_aggregator.whence.login.session import new_session
from whence_aggregator.whence.output import ask, note, out, show_json
from whence_common.errors import RoadError, WhenceError
from whence_common.visible import printable

_BROWSER_SECONDS_MAX = 300.0


@click.command()
@click.option("--device", "way", flag_value="device", help="Show a code to confirm in a browser on any machine.")
@click.option("--browser", "way", flag_value="browser", help="Open a browser on this machine.")
@click.option("--no-browser", "way", flag_value="no-browser", help="Print the address to open on this machine.")
@click.option("--issuer", help="The identity provider, if the aggregator accepts people of several.")
@click.option("--prompt", help="What the provider asks for: login, select_account or consent; not with --device.")
@pass_meta_key(CONNECTION)
def login(connection: AggregatorAccess, way: Way | None, issuer: str | None, prompt: str | None) -> None:
    """Sign in at the aggregator's identity provider; later commands use and refresh the token.

    Opens a browser where one can be expected; otherwise shows a code to confirm in a browser on any machine. The tokens
    are kept for the aggregator's URL and --profile, in $XDG_STATE_HOME/whence/tokens or ~/.local/state/whence/tokens.
    """
    ask(lambda: _login(connection, way, issuer, prompt))


def _login(connection: AggregatorAccess, way: Way | None, issuer: str | None, prompt: str | None) -> None:
    cache = connection.required_cache()
    server = server_of(connection.url)
    with cache.locked():  # fails now, not after the person has signed in, if the folder is unusable
        pass
    client = choose_client(connection.client_with(None).get("/v1/sign-in"), issuer, server=server)
    provider = connection.provider(client.issuer)
    metadata = provider.metadata()
    chosen = choose_way(way, metadata, opens=opens_browser(os.environ, sys.platform))
    if chosen == "device":
        tokens = _by_device(provider, metadata, client)
    else:
        tokens = _by_browser(provider, metadata, client, opened=chosen == "browser", prompt=prompt)
    caller = _accepted(connection, provider, metadata, client, tokens)
    with cache.locked():
        cache.write(new_session(server, client, tokens, now=time.time()))
    out(f"signed in at {server} as {printable(caller.get('name'))}\n")
    if tokens.refresh_token is None:
        note("whence: the provider issued no refresh token: sign in again when the token expires")
    if os.environ.get("WHENCE_TOKEN"):
        note("whence: WHENCE_TOKEN is set, and is used instead of this sign-in")


def _by_device(provider: IdentityProvider, metadata: ProviderMetadata, client: SignInClient) -> Tokens:
    code = provider.device_code(metadata, client)
    note(f"To sign in at {client.issuer}, open {code.verification_uri}\nand enter the code:\n\n  {code.user_code}\n")
    if code.verification_uri_complete is not None:
        note(f"or open {code.verification_uri_complete}\n")
    note("Confirm only a code that you requested yourself.")
    return poll_until_confirmed(
        code,
        lambda: provider.tokens_of_device(metadata, client, code.device_code),
        pause=time.sleep,
        clock=time.monotonic,
    )


def _by_browser(
    provider: IdentityProvider, metadata: ProviderMetadata, client: SignInClient, *, opened: bool, prompt: str | None
) -> Tokens:
    with listening(client.redirect_port) as loopback:
        request = AuthorizationRequest.new(client, metadata, loopback.redirect_uri, secrets.token_urlsafe)
        url = request.url(prompt=prompt)
        loopback.accept(request.code)
        begin = "A browser opens" if opened else "Open this address on this machine"
        hint = "; if it does not, open this address on this machine" if opened else ""
        note(f"{begin} to sign in at {client.issuer}{hint}:\n\n{url}\n")
        if opened:
            open_browser(url)
        code = loopback.wait(seconds_max=_BROWSER_SECONDS_MAX)
    tokens = provider.tokens(metadata, request.exchange(code))
    check_id_token(
        tokens, issuer=client.issuer, client_id=client.client_id, nonce=request.nonce, now=time.time()
    )  # fmt: skip
    return tokens


def _accepted(
    connection: AggregatorAccess,
    provider: IdentityProvider,
    metadata: ProviderMetadata,
    client: SignInClient,
    tokens: Tokens,
) -> Mapping[str, Any]:
    """Return whom the aggregator takes the bearer of the token for. If it refuses, the tokens are not kept."""
    try:
        caller = connection.client_with(tokens.access_token).get("/v1/whoami")
    except Refused as exc:
        with suppress(RoadError):
            _revoke(provider, metadata, client.client_id, tokens.refresh_token)
        fix = f"compare cli.resource, cli.scopes and audiences of {client.issuer} in its sign_in"
        raise Refused(exc.status, exc.code, f"the aggregator refuses the new token: {exc.message}", fix) from exc
    if not isinstance(caller, dict):
        raise RoadError("answer-not-json", "the response is not a caller: is this a whence-aggregator?")
    return caller


@click.command()
@pass_meta_key(CONNECTION)
def logout(connection: AggregatorAccess) -> None:
    """Remove the tokens of this aggregator and profile, and revoke them at the identity provider if it offers that."""
    ask(lambda: _logout(connection))


def _logout(connection: AggregatorAccess) -> None:
    cache = connection.required_cache()
    with cache.locked():  # a command that refreshes now would keep new tokens after this
        session = _readable(cache)
        removed = cache.remove()
    if not removed:
        note(f"whence: not signed in at {server_of(connection.url)}")
        return
    out(f"signed out at {server_of(connection.url)}\n")
    if session is None or session.refresh_token is None:
        return
    try:
        provider = connection.provider(session.issuer)
        _revoke(provider, provider.metadata(), session.client_id, session.refresh_token)
    except WhenceError as exc:
        note(f"whence: the tokens are removed here, but not revoked: {exc.diagnostics()}")


def _readable(cache: TokenCache) -> TerminalSession | None:
    """Return the sign-in, to revoke its tokens; None for a file that is refused: it is removed all the same."""
    try:
        return cache.read()
    except WhenceError as exc:
        note(f"whence: the tokens are not revoked: {exc.message}")
        return None


def _revoke(provider: IdentityProvider, metadata: ProviderMetadata, client_id: str, refresh_token: str | None) -> None:
    if refresh_token is not None and not provider.revoke(metadata, client_id, refresh_token):
        note(f"whence: {provider.issuer} offers no revocation: its tokens stay valid until they expire")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def console(client: Client, as_json: bool) -> None:
    """Print a link to the console that signs a browser in as you, once, within five minutes.

    Treat the link as a password until it was used. The session ends with your token, or when you sign out.
    """
    link = ask(lambda: _console_link(client))
    if as_json:
        show_json(link)
        return
    out(f"{printable(link.get('url'))}\n")
    note(f"whence: valid once, until {printable(link.get('until'))}")


def _console_link(client: Client) -> Mapping[str, Any]:
    link = client.post("/v1/console/links", {})
    if not isinstance(link, dict):
        raise RoadError("answer-not-json", "the response is not a link: is this a whence-aggregator?")
    return link


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def whoami(client: Client, as_json: bool) -> None:
    """Show who the aggregator takes you for: name, issuer, teams, rights and expiry."""
    caller = ask(lambda: client.get("/v1/whoami"))
    if as_json:
        show_json(caller)
        return
    width = max(map(len, caller), default=0)
    for name, value in caller.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        out(f"{name:<{width}}  {'' if shown is None else printable(shown)}".rstrip() + "\n")
