"""I/O of `whence login`: the listener that a browser comes back to, and HTTP to hostile identity providers."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from fakes.terminal import Running, Terminal
from whence_aggregator.openid.authorization import OtherSignIn
from whence_aggregator.openid.metadata import ProviderMetadata, SignInClient
from whence_aggregator.openid.refusals import OAuthRefused, ProviderUnreachable
from whence_aggregator.whence.login.loopback import Loopback, listening
from whence_aggregator.whence.login.provider import IdentityProvider
from whence_common.errors import InputError, RoadError, WhenceError

CLIENT = SignInClient(issuer="", client_id="cli", scopes=("openid",))


def code_of(query: Sequence[tuple[str, str]]) -> str:
    found = dict(query)
    if found.get("state") != "ours":
        raise OtherSignIn
    if "error" in found:
        raise RoadError("sign-in-refused", found["error"])
    return found["code"]


class Waiting:
    """A sign-in that waits for its redirect in a thread."""

    def __init__(self, loopback: Loopback) -> None:
        self.uri = loopback.redirect_uri
        self.found: str | WhenceError = ""
        loopback.accept(code_of)
        self._thread = threading.Thread(target=self._run, args=(loopback,))
        self._thread.start()

    def _run(self, loopback: Loopback) -> None:
        try:
            self.found = loopback.wait(seconds_max=60, clock=lambda: 0.0)
        except WhenceError as exc:
            self.found = exc

    def ended(self) -> str | WhenceError:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.found

    def get(self, query: str, *, path: str = "/callback", method: str = "GET", host: str = "") -> tuple[int, str]:
        """Be a browser; return status and page."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.uri).port, timeout=10)
        connection.request(method, f"{path}?{query}", headers={"Host": host} if host else {})
        answer = connection.getresponse()
        assert answer.status >= 400 or answer.headers["Cache-Control"] == "no-store"
        text = answer.read().decode()
        connection.close()
        return answer.status, text


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    with listening(0) as loopback:
        yield Waiting(loopback)


def test_the_listener_is_on_127_0_0_1_and_takes_the_code_of_one_redirect(waiting: Waiting) -> None:
    assert waiting.uri.startswith("http://127.0.0.1:")
    status, page = waiting.get("state=ours&code=c0de")
    assert (status, "c0de" in page, "ours" in page) == (200, False, False)
    assert waiting.ended() == "c0de"
    status, page = waiting.get("state=ours&code=c0de")
    assert (status, "another sign-in, or was opened before" in page) == (400, True)


@pytest.mark.parametrize(
    "query, others",
    [
        ("", {"path": "/favicon.ico"}), ("state=theirs&code=x", {}), ("code=x", {}), ("", {}),
        ("state=ours&code=x", {"host": "evil.example.org"}), ("state=ours&code=x", {"path": "/other"}),
        ("state=ours&code=x", {"method": "POST"}), ("&".join(f"p{n}=1" for n in range(50)), {}),
    ],
)  # fmt: skip
def test_a_request_that_is_not_the_redirect_does_not_end_the_sign_in(
    waiting: Waiting, query: str, others: dict[str, str]
) -> None:
    assert waiting.get(query, **others)[0] >= 400
    assert waiting.get("state=ours&code=c0de")[0] == 200
    assert waiting.ended() == "c0de"


def test_connections_on_which_a_browser_sends_nothing_do_not_delay_the_redirect(waiting: Waiting) -> None:
    port = urlsplit(waiting.uri).port or 0
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
    assert waiting.get("state=ours&code=c0de")[0] == 200
    assert waiting.ended() == "c0de"
    for one in silent:
        one.close()


def test_a_redirect_that_comes_before_anybody_waits_is_kept() -> None:
    with listening(0) as loopback:
        loopback.accept(code_of)
        browser = http.client.HTTPConnection("127.0.0.1", urlsplit(loopback.redirect_uri).port, timeout=10)
        browser.request("GET", "/callback?state=ours&code=c0de")
        assert browser.getresponse().status == 200
        browser.close()
        assert loopback.wait(seconds_max=10) == "c0de"


def test_an_error_of_the_provider_ends_the_sign_in(waiting: Waiting) -> None:
    status, page = waiting.get("state=ours&error=access_denied")
    assert (status, "The terminal shows the reason" in page) == (400, True)
    assert str(waiting.ended()) == "access_denied"


def test_the_wait_for_a_browser_ends_at_its_deadline() -> None:
    moments = iter([0.0, 299.9, 300.0])
    with listening(0) as loopback:
        loopback.accept(code_of)
        with pytest.raises(RoadError, match="within 300 seconds"):
            loopback.wait(seconds_max=300, clock=lambda: next(moments))


def test_a_port_in_use_is_reported_with_a_fix() -> None:
    with listening(0) as first:
        port = urlsplit(first.redirect_uri).port or 0
        with pytest.raises(InputError) as caught, listening(port):
            raise AssertionError("two listen on one port")
    assert (caught.value.code, "--device" in caught.value.fix) == ("port-in-use", True)
    with listening(port) as again:
        assert again.redirect_uri == f"http://127.0.0.1:{port}/callback"


class Bad:
    """A provider with bad manners: `said` has status, headers and body by path."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.said: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        self.state("/.well-known/openid-configuration", 200, issuer=url, token_endpoint=f"{url}/token")

    def state(self, path: str, status: int, **document: object) -> None:
        self.said[path] = status, {"Content-Type": "application/json"}, json.dumps(document).encode()

    def provider(self) -> IdentityProvider:
        return IdentityProvider(self.url, context=ssl.create_default_context())

    def ask(self, **form: str) -> Any:
        provider = self.provider()
        return provider.tokens(provider.metadata(), form)


@contextmanager
def bad_provider() -> Iterator[Bad]:
    made: Bad

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            made.asked.append(self.path)
            status, headers, body = made.said.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the base class's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            return

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Bad(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def bad() -> Iterator[Bad]:
    with bad_provider() as opened:
        yield opened


def test_a_redirect_of_the_token_endpoint_is_not_followed(bad: Bad) -> None:
    for status in (301, 302, 307, 308):
        bad.said["/token"] = status, {"Location": f"{bad.url}/elsewhere"}, b"{}"
        with pytest.raises(RoadError, match="redirects, which is not followed"):
            bad.ask(refresh_token="s3cret-refresh")
    assert "/elsewhere" not in bad.asked


def test_an_endless_response_is_cut(bad: Bad) -> None:
    bad.said["/token"] = 200, {}, b"{" + b" " * 300_000
    with pytest.raises(RoadError, match="more than 262144 bytes"):
        bad.ask()


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"[" * 100_000, b'{"access_token": "\xff"}'])
def test_a_response_that_is_not_an_object_is_refused(bad: Bad, body: bytes) -> None:
    bad.said["/token"] = 200, {}, body
    with pytest.raises(RoadError):
        bad.ask()


def test_an_error_that_repeats_our_secrets_is_shown_without_them(bad: Bad) -> None:
    form = {
        "refresh_token": "s3cret-refresh", "code": "s3cret-code", "code_verifier": "s3cret-verifier",
        "device_code": "s3cret-device",
    }  # fmt: skip
    bad.state("/token", 400, error="invalid_grant", error_description=f"unknown {' '.join(form.values())}\x1b[2J")
    with pytest.raises(OAuthRefused) as caught:
        bad.ask(**form)
    assert (caught.value.error, "s3cret" in caught.value.diagnostics()) == ("invalid_grant", False)
    assert caught.value.diagnostics().isprintable()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_failure_of_the_provider_s_own_is_not_a_refusal(bad: Bad, status: int) -> None:
    bad.state("/token", status, error="invalid_grant")
    with pytest.raises(ProviderUnreachable):
        bad.ask()


def test_a_discovery_document_that_names_another_issuer_is_refused(bad: Bad) -> None:
    bad.state("/.well-known/openid-configuration", 200, issuer="https://evil.example.org", token_endpoint=bad.url)
    with pytest.raises(RoadError, match="states another issuer"):
        bad.provider().metadata()


def test_what_the_provider_does_not_offer_is_named(bad: Bad) -> None:
    provider = bad.provider()
    metadata: ProviderMetadata = provider.metadata()
    with pytest.raises(RoadError) as caught:
        provider.device_code(metadata, CLIENT)
    assert (caught.value.code, caught.value.fix) == ("sign-in-no-device", "use --browser or --no-browser")
    assert provider.revoke(metadata, "cli", "s3cret-refresh") is False


def test_a_provider_that_is_down_is_unreachable() -> None:
    with bad_provider() as bad:
        pass
    with pytest.raises(ProviderUnreachable, match="is unreachable"):
        bad.provider().metadata()


def id_token(**claims: object) -> str:
    parts = [{"alg": "RS256"}, {name: value for name, value in claims.items() if value is not None}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + ".sig"


@pytest.fixture
def both(bad: Bad) -> Bad:
    """One server that is the aggregator and its identity provider."""
    bad.state(
        "/.well-known/openid-configuration", 200, issuer=bad.url, token_endpoint=f"{bad.url}/token",
        authorization_endpoint=f"{bad.url}/auth", device_authorization_endpoint=f"{bad.url}/device",
    )  # fmt: skip
    client = {"issuer": bad.url, "client_id": "cli", "scopes": ["openid"]}
    bad.state("/v1/sign-in", 200, issuers=[client])
    bad.state("/v1/whoami", 200, name="ada")
    return bad


async def begun(terminal: Terminal) -> tuple[Running, dict[str, str]]:
    """Begin a sign-in; return what the browser is sent to the provider with."""
    running = await terminal.begin("login", "--no-browser")
    url = await running.prints(r"(http://\S+/auth\?\S+)")
    return running, {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def come_back(request: dict[str, str], **parameters: str) -> None:
    async with aiohttp.ClientSession() as browser, browser.get(request["redirect_uri"], params=parameters):
        pass


@pytest.mark.parametrize("nonce", ["ours", None, "of an earlier sign-in", "of another browser"])
async def test_the_command_accepts_only_the_nonce_of_this_sign_in(both: Bad, tmp_path: Path, nonce: str | None) -> None:
    ada = Terminal(both.url, tmp_path)
    running, request = await begun(ada)
    now = time.time()
    token = id_token(
        iss=both.url, aud="cli", exp=now + 60, iat=now, nonce=request["nonce"] if nonce == "ours" else nonce
    )  # fmt: skip
    both.state("/token", 200, access_token="acc3ss-s3cret", token_type="Bearer", expires_in=60, id_token=token)
    await come_back(request, state=request["state"], code="c0de-s3cret")
    ended = await running.ends()
    if nonce == "ours":
        assert (ended.code, ada.kept()["access_token"]) == (0, "acc3ss-s3cret")
    else:
        assert (ended.code, "was issued for another sign-in (nonce)" in ended.err) == (3, True), ended.told
        assert list(ada.folder.glob("*.json")) == []
        assert not [path for path in both.asked if "whoami" in path]
    assert "s3cret" not in ended.told


async def test_the_state_of_another_sign_in_does_not_end_ours(both: Bad, tmp_path: Path) -> None:
    first, ours = await begun(Terminal(both.url, tmp_path))
    second, theirs = await begun(Terminal(both.url, tmp_path))
    await come_back(ours, state=theirs["state"], code="c0de-of-theirs")
    await come_back(theirs, state=ours["state"], code="c0de-of-ours")
    assert "/token" not in both.asked
    for running in (first, second):
        running.process.send_signal(signal.SIGINT)
        ended = await running.ends()
        assert (ended.code, ended.err.endswith("whence: interrupted\n")) == (130, True), ended.told


async def test_a_token_is_sent_over_an_encrypted_connection_only(tmp_path: Path) -> None:
    ended = await Terminal("http://whence.example.org", tmp_path).run("login")
    said = "whence: http://whence.example.org is not encrypted: others could read the token (set WHENCE_URL to an https URL)\n"
    assert (ended.code, ended.told) == (2, said)


async def test_an_aggregator_of_an_earlier_version_is_reported(bad: Bad, tmp_path: Path) -> None:
    bad.state("/v1/sign-in", 404, code="http-404")
    ended = await Terminal(bad.url, tmp_path).run("login")
    assert (ended.code, "an aggregator of another version may not have this path" in ended.err) == (3, True)


async def test_commands_without_a_home_folder_work_as_before(both: Bad, tmp_path: Path) -> None:
    nowhere = {"HOME": ""}
    assert (await Terminal(both.url, tmp_path).run("whoami", environment=nowhere)).code == 0
    ended = await Terminal(both.url, tmp_path).run("login", environment=nowhere)
    said = "whence: there is no folder for tokens (set HOME or XDG_STATE_HOME)\n"
    assert (ended.code, ended.told) == (2, said)


async def test_a_query_never_begins_a_sign_in(both: Bad, tmp_path: Path) -> None:
    both.state("/v1/whoami", 401, code="token-unknown", detail="the bearer token is missing, unknown or expired")
    ended = await Terminal(both.url, tmp_path, {"BROWSER": "/bin/false", "DISPLAY": ":0"}).run("whoami")
    said = "whence: the bearer token is missing, unknown or expired (run whence login, or set WHENCE_TOKEN)\n"
    assert (ended.code, ended.told, both.asked) == (3, said, ["/v1/whoami"])
