"""Providers of credentials that answer what they must not: nothing of it is used, and no message shows a secret."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fakes.mint_keycloak import ADMIN, FakeKeycloak, policies_of, profiles_of
from fakes.mint_lying import Lie, LyingProvider
from fakes.mint_providers import KEY, REGISTRATION_TOKEN, WANTED, Parts, generation, no_addresses, parts
from fakes.mint_stups import FakeStups, ProviderFault
from whence_aggregator.adapters.mint.provider_fields import SecretMarks
from whence_aggregator.adapters.mint.provider_http import ProviderHttp, ProviderPlace
from whence_aggregator.adapters.mint.provider_logins import SecretFile
from whence_aggregator.mint.ports import ProviderRefused, ProviderThrottled
from whence_aggregator.mint.values import CredentialKind, KnownCredential
from whence_aggregator.ports import SourceUnavailable
from whence_common.errors import WhenceError
from whence_common.settings_file import SettingsInvalid

SECRET = "hunter2-made-by-the-provider"
HIDDEN = (SECRET, "stups-token", REGISTRATION_TOKEN, ADMIN[1], "the-client-of-mint")
MEGABYTES = 10 * 1024 * 1024
Attempt = Callable[[Lie], Awaitable[object]]


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as found:
        yield found


@asynccontextmanager
async def stups(shared: Parts) -> AsyncIterator[Attempt]:
    async with FakeStups().serve() as fake:
        wanted = replace(WANTED, client_id=await shared.stups(fake.url).ensure(WANTED))

        async def attempt(lie: Lie) -> object:
            fake.faults = [lie]
            return await shared.stups(fake.url).make(wanted, generation(1, "user"), None)

        yield attempt


@asynccontextmanager
async def registration(shared: Parts) -> AsyncIterator[Attempt]:
    async with LyingProvider(says({})).serve() as lying:

        async def attempt(lie: Lie) -> object:
            lying.lie = lie
            provider = shared.registered(f"{lying.url}/reg", f"{lying.url}/token")
            return await provider.make(WANTED, generation(1), None)

        yield attempt


@asynccontextmanager
async def keycloak(shared: Parts) -> AsyncIterator[Attempt]:
    fake = FakeKeycloak(profiles=profiles_of(), policies=policies_of())
    fake.add_scope("customer.read_all")
    async with fake.serve():
        await shared.keycloak(fake.url).ensure(WANTED)

        async def attempt(lie: Lie) -> object:
            fake.faults = [*[as_it_is] * 5, lie, lie]  # a token that is refused is renewed once
            return await shared.keycloak(fake.url).make(WANTED, generation(1), None)

        yield attempt


PROVIDERS: dict[str, Callable[[Parts], AbstractAsyncContextManager[Attempt]]] = {
    "stups": stups, "registration": registration, "keycloak": keycloak,
}  # fmt: skip


@pytest.fixture(params=PROVIDERS)
async def attempt(request: pytest.FixtureRequest, shared: Parts) -> AsyncIterator[Attempt]:
    async with PROVIDERS[request.param](shared) as found:
        yield found


async def as_it_is(request: web.Request) -> None:
    """Let the fake answer."""


def says(document: Any, status: int = 200, **headers: str) -> Lie:
    return body(json.dumps(document).encode(), status=status, **headers)


def body(content: bytes, *, kind: str = "application/json", status: int = 200, **headers: str) -> Lie:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def lie(request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, status=status, headers={"Content-Type": kind, **named})

    return lie


async def echoing(request: web.Request) -> web.StreamResponse:
    """Refuse a request, with its token and the new secret in the reason."""
    told = f"{SECRET} for {request.headers['Authorization']}"
    return web.json_response({"error": SECRET, "error_description": told, "errorMessage": told}, status=400)


async def endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    for _ in range(1_000_000):
        await answer.write(b" " * 65_536)
    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "500"})
    await answer.prepare(request)
    await answer.write(f'{{"password": "{SECRET}"'.encode())
    assert request.transport is not None
    request.transport.close()
    return answer


async def closed(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def stalled(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    await answer.write(b"{")
    await asyncio.Event().wait()
    return answer


def unhidden(caught: BaseException, more: str = "") -> list[str]:
    """Return the secrets that a log of an error would show."""
    fix = caught.fix if isinstance(caught, WhenceError) else ""
    seen = "".join(traceback.format_exception(caught)) + repr(caught) + fix + more
    return [one for one in HIDDEN if one in seen]


ANSWERS: dict[str, tuple[Lie, type[WhenceError], str]] = {
    "a page": (body(b"<html>sign in</html>", kind="text/html"), ProviderRefused, "provider-page"),
    "a page as JSON": (body(b"  <!doctype html>"), ProviderRefused, "provider-page"),
    "JSON as text": (body(b"{}", kind="text/plain"), ProviderRefused, "provider-not-json"),
    "no content type": (body(b"{}", kind=""), ProviderRefused, "provider-not-json"),
    "compressed": (body(b"\x1f\x8b\x08", Content_Encoding="gzip"), ProviderRefused, "provider-not-json"),
    "10 MB": (body(b" " * MEGABYTES), ProviderRefused, "provider-too-large"),
    "10 MB of a page": (body(b"<" * MEGABYTES, kind="text/html"), ProviderRefused, "provider-too-large"),
    "a page without an end": (endless, ProviderRefused, "provider-too-large"),
    "a redirect": (says({}, 302, Location="http://169.254.169.254/"), ProviderRefused, "provider-redirect"),
    "a redirect of the method": (says({}, 307, Location="/other"), ProviderRefused, "provider-redirect"),
    "half JSON": (body(f'{{"password": "{SECRET}'.encode()), ProviderRefused, "provider-not-json"),
    "a name twice": (body(b'{"value": "one", "value": "two"}'), ProviderRefused, "provider-not-json"),
    "not a number": (body(b'{"a": NaN}'), ProviderRefused, "provider-not-json"),
    "deep JSON": (body(b"[" * 30_000 + b"]" * 30_000), ProviderRefused, "provider-not-json"),
    "half a character": (body(b'{"a": "\\ud800"}'), ProviderRefused, "provider-not-json"),
    "no UTF-8": (body(b'{"a": "\xff"}'), ProviderRefused, "provider-not-json"),
    "nothing": (body(b""), ProviderRefused, "provider-malformed"),
    "no content": (body(b"", status=204), ProviderRefused, "provider-malformed"),
    "null": (says(None), ProviderRefused, "provider-malformed"),
    "a list": (says([{"value": SECRET}]), ProviderRefused, "provider-malformed"),
    "text": (says(SECRET), ProviderRefused, "provider-malformed"),
    "a refusal with secrets": (
echoing,
        ProviderRefused, "provider-refused",
    ),
    "a refusal that is a page": (body(b"<p>" * 1000, kind="text/html", status=400), ProviderRefused, "provider-refused"),
    "a teapot": (says({"errorMessage": "short and stout"}, 418), ProviderRefused, "provider-refused"),
    "forbidden": (says({"error": SECRET}, 403), ProviderRefused, "provider-login"),
    "unauthorized": (says({"error": SECRET}, 401), ProviderRefused, "provider-login"),
    "an error": (says({"error": SECRET}, 500), SourceUnavailable, "provider-unavailable"),
    "a gateway's page": (body(b"<html>", kind="text/html", status=502), SourceUnavailable, "provider-unavailable"),
    "a timeout of its own": (says({}, 408), SourceUnavailable, "provider-unavailable"),
    "a closed connection": (closed, SourceUnavailable, "provider-unreachable"),
    "a body that is cut": (cut, SourceUnavailable, "provider-unreachable"),
    "a long header": (says({}, X_Long="a" * 20_000), SourceUnavailable, "provider-unreachable"),
    "a limit": (says({}, 429), ProviderThrottled, "provider-throttled"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
async def test_no_answer_that_is_not_plain_json_makes_a_credential(
    attempt: Attempt, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="whence_aggregator")
    lie, kind, code = ANSWERS[name]
    with pytest.raises(WhenceError) as caught:
        await attempt(lie)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert len(caught.value.message) < 300
    assert unhidden(caught.value, str([vars(one) for one in caplog.records])) == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 90.0), ("7", 7.0), ("0", 1.0), ("86400", 3600.0), ("99999999999", 90.0), ("soon", 90.0), ("-5", 90.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 1.0),
    ],
)  # fmt: skip
async def test_a_limit_states_when_it_is_asked_again_within_an_hour(
    attempt: Attempt, header: str, seconds: float
) -> None:
    with pytest.raises(ProviderThrottled) as caught:
        await attempt(says({}, 429, **({"Retry_After": header} if header else {})))
    assert caught.value.retry_after_seconds == seconds


async def test_a_body_that_stalls_is_given_up(tmp_path: Path) -> None:
    async with parts(tmp_path, seconds_max=0.1) as hasty, LyingProvider(stalled).serve() as lying:
        with pytest.raises(SourceUnavailable, match="took too long") as caught:
            await hasty.registered(f"{lying.url}/reg", f"{lying.url}/token").make(WANTED, generation(1), None)
        assert caught.value.code == "provider-unreachable"


async def test_an_outage_states_when_it_ends(attempt: Attempt) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await attempt(says({}, 503, Retry_After="30"))
    assert caught.value.retry_after_seconds == 30.0


# STUPS

PASSWORD = {"password": SECRET, "txid": "1"}
CLIENT = {"client_id": "stups_shop_1", "client_secret": SECRET, "txid": "1"}


async def stups_answers(shared: Parts, kind: CredentialKind, document: Any, handle: dict[str, str] | None) -> None:
    async with FakeStups().serve() as fake:
        provider = shared.stups(fake.url)
        wanted = replace(WANTED, client_id=await provider.ensure(WANTED))
        fake.faults = [says(document)]
        current = KnownCredential(id=generation(0, kind), handle=handle) if handle is not None else None
        await provider.make(wanted, generation(1, kind), current)


@pytest.mark.parametrize(
    "secret", ["", "short", "        ", "with a space", "with\nline", "with\x00", "ünïcödé-secret", "a" * 1025, 12345678, None, [SECRET], True]
)  # fmt: skip
async def test_an_unusable_secret_is_refused_by_name_only(shared: Parts, secret: Any) -> None:
    for kind, document in (("user", PASSWORD | {"password": secret}), ("client", CLIENT | {"client_secret": secret})):
        with pytest.raises(ProviderRefused) as caught:
            await stups_answers(shared, kind, document, None)  # type: ignore[arg-type]
        assert caught.value.code == "provider-secret-unusable"
        assert unhidden(caught.value) == []


@pytest.mark.parametrize("name", ["txid", "client_id"])
@pytest.mark.parametrize("value", ["", "..", "with a space", "a" * 256, "\x7f", 1, None, {}])
async def test_an_unusable_id_is_refused(shared: Parts, name: str, value: Any) -> None:
    with pytest.raises(ProviderRefused) as caught:
        await stups_answers(shared, "client", CLIENT | {name: value}, None)
    assert caught.value.code == "provider-malformed"
    assert unhidden(caught.value) == []


async def test_the_same_secret_or_id_twice_is_refused(shared: Parts) -> None:
    mark = SecretMarks(KEY).of("shop", SECRET)
    attempts: list[tuple[CredentialKind, Any, dict[str, str]]] = [
        ("user", PASSWORD, {"mark": mark, "txid": "0"}),
        ("user", PASSWORD, {"mark": "0", "txid": "1"}),
        ("client", CLIENT, {"mark": mark, "txid": "0", "client_id": "0"}),
        ("client", CLIENT, {"mark": "0", "txid": "1", "client_id": "0"}),
        ("client", CLIENT, {"mark": "0", "txid": "0", "client_id": "stups_shop_1"}),
    ]
    for kind, document, handle in attempts:
        with pytest.raises(ProviderRefused) as caught:
            await stups_answers(shared, kind, document, handle)
        assert caught.value.code == "provider-same-secret"
        assert unhidden(caught.value) == []


async def test_an_answer_about_another_service_user_is_refused(shared: Parts) -> None:
    async with FakeStups().serve() as fake:
        provider = shared.stups(fake.url)
        for document in ({"id": "stups_other", "client_id": "x"}, {"id": None, "client_id": "x"}):
            fake.faults = [says(document)]
            with pytest.raises(ProviderRefused) as caught:
                await provider.ensure(WANTED)
            assert caught.value.code == "provider-wrong-id"


async def test_a_service_user_without_a_client_id_is_no_end_of_others(shared: Parts) -> None:
    async with FakeStups().serve() as fake:
        provider = shared.stups(fake.url)
        for document in ({"client_id": ""}, {"client_id": None}, {}):
            fake.faults = [says(document)]
            assert await provider.ensure(WANTED) == ""
        with pytest.raises(ProviderRefused) as caught:
            await provider.make(WANTED, generation(1), None)
        assert caught.value.code == "provider-client-unknown"


@pytest.mark.parametrize("username", ["", ".", "..", "..."])
async def test_a_user_name_that_is_no_name_is_not_sent(shared: Parts, username: str) -> None:
    async with FakeStups().serve() as fake:
        with pytest.raises(ProviderRefused):
            await shared.stups(fake.url).delete(replace(WANTED, username=username))
        assert fake.asked == []


async def test_a_user_name_with_a_slash_stays_one_name(shared: Parts) -> None:
    async with FakeStups().serve() as fake:
        await shared.stups(fake.url).ensure(replace(WANTED, username="a/../b?c#d"))
        assert list(fake.users) == ["a/../b?c#d"]


# registration


def registered(url: str, **changes: Any) -> dict[str, Any]:
    document = {
        "client_id": "new", "client_secret": SECRET, "client_secret_expires_at": 0,
        "client_name": generation(1).client_name, "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_basic",
        "registration_client_uri": f"{url}/reg/new", "registration_access_token": "hunter2-to-manage-it",
    } | changes  # fmt: skip
    return {name: value for name, value in document.items() if value != "absent"}


async def register(shared: Parts, lying: LyingProvider, current: KnownCredential | None = None, **changes: Any) -> None:
    lying.lie = says(registered(lying.url, **changes), 201)
    provider = shared.registered(f"{lying.url}/reg", f"{lying.url}/token")
    await provider.make(WANTED, generation(1), current)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_secret": ""}, "provider-secret-unusable"),
        ({"client_secret": "absent"}, "provider-secret-unusable"),
        ({"grant_types": ["authorization_code"]}, "provider-registration-other"),
        ({"token_endpoint_auth_method": "none"}, "provider-registration-other"),
        ({"client_secret_expires_at": 1}, "provider-secret-short-lived"),
        ({"client_secret_expires_at": -1}, "provider-secret-short-lived"),
        ({"client_secret_expires_at": "never"}, "provider-malformed"),
        ({"client_secret_expires_at": None}, "provider-malformed"),
    ],
    ids=str,
)
async def test_a_registered_client_that_cannot_be_used_is_deleted_at_once(
    shared: Parts, changes: dict[str, Any], code: str
) -> None:
    async with LyingProvider(says({})).serve() as lying:
        current = KnownCredential(id=generation(0), handle={"client_id": "old"})
        with pytest.raises(ProviderRefused) as caught:
            await register(shared, lying, current, **changes)
        assert caught.value.code == code
        assert unhidden(caught.value) == []
        assert lying.asked == [("POST", "/reg"), ("DELETE", "/reg/new")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_name": "shop (whence 0)"}, "provider-wrong-id"),
        ({"client_name": None}, "provider-wrong-id"),
        ({"client_id": "old"}, "provider-same-secret"),
        ({"client_name": "absent", "client_secret": ""}, "provider-secret-unusable"),
        ({"client_secret": "", "registration_client_uri": "that of the old one"}, "provider-secret-unusable"),
    ],
    ids=str,
)
async def test_a_registered_client_that_may_be_another_is_stated_and_not_deleted(
    shared: Parts, changes: dict[str, Any], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with LyingProvider(says({})).serve() as lying:
        old = f"{lying.url}/reg/old"
        current = KnownCredential(id=generation(0), handle={"client_id": "old", "registration_client_uri": old})
        if "registration_client_uri" in changes:
            changes = changes | {"registration_client_uri": old}
        with pytest.raises(ProviderRefused) as caught:
            await register(shared, lying, current, **changes)
        assert caught.value.code == code
        assert lying.asked == [("POST", "/reg")]
    stated = [record.__dict__["whence_fields"]["client_name"] for record in caplog.records]
    assert stated == [generation(1).client_name]


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest/meta-data/", "https://attacker.example.org/reg/new", "http://127.0.0.1:1/reg",
        "http://127.0.0.1@attacker.example.org/", "http://user:pw@127.0.0.1/", "file:///etc/passwd", "/reg/new", "",
        "http://127.0.0.1\\@attacker.example.org/", None, 7, "absent",
    ],
)  # fmt: skip
async def test_a_client_that_is_managed_elsewhere_is_refused_and_nothing_is_sent_there(
    shared: Parts, uri: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with LyingProvider(says({})).serve() as lying:
        with pytest.raises(ProviderRefused) as caught:
            await register(shared, lying, registration_client_uri=uri)
        assert caught.value.code in ("provider-registration-elsewhere", "provider-registration-unmanaged")
        assert caught.value.fix
        assert lying.asked == [("POST", "/reg")]
    stated = [record.__dict__["whence_fields"]["client_name"] for record in caplog.records]
    assert stated == [generation(1).client_name]


async def test_the_scheme_and_the_port_of_the_management_are_the_providers_own(shared: Parts) -> None:
    async with LyingProvider(says({})).serve() as lying, LyingProvider(says({})).serve() as other:
        for uri in (f"{other.url}/reg/new", lying.url.replace("http:", "https:") + "/reg/new"):
            with pytest.raises(ProviderRefused):
                await register(shared, lying, registration_client_uri=uri)
        assert other.asked == []


@pytest.mark.parametrize("token", ["", None, 7, "with\nline", "ünïcödé", "absent"])
async def test_a_client_without_a_token_to_manage_it_is_refused(shared: Parts, token: Any) -> None:
    async with LyingProvider(says({})).serve() as lying:
        with pytest.raises(ProviderRefused):
            await register(shared, lying, registration_access_token=token)


async def test_the_same_secret_for_two_clients_is_refused(shared: Parts) -> None:
    handle = {"client_id": "old", "mark": SecretMarks(KEY).of("shop", SECRET)}
    async with LyingProvider(says({})).serve() as lying:
        with pytest.raises(ProviderRefused) as caught:
            await register(shared, lying, KnownCredential(id=generation(0), handle=handle))
        assert caught.value.code == "provider-same-secret"


async def test_a_client_that_cannot_be_deleted_is_stated(shared: Parts, caplog: pytest.LogCaptureFixture) -> None:
    async with LyingProvider(says({}), delete_status=500).serve() as lying:
        with pytest.raises(ProviderRefused):
            await register(shared, lying, client_secret="")
    stated = [record.__dict__["whence_fields"].get("client_name") for record in caplog.records]
    assert generation(1).client_name in stated


@pytest.mark.parametrize(
    ("status", "error"),
    [(204, None), (200, None), (401, None), (404, None), (410, None), (400, ProviderRefused), (403, ProviderRefused), (405, ProviderRefused), (429, ProviderThrottled), (500, SourceUnavailable)],
)  # fmt: skip
async def test_an_end_is_believed_only_when_the_client_is_gone(
    shared: Parts, status: int, error: type[WhenceError] | None
) -> None:
    async with LyingProvider(says({}), delete_status=status).serve() as lying:
        provider = shared.registered(f"{lying.url}/reg", f"{lying.url}/token")
        only = KnownCredential(
            id=generation(1), handle={"registration_client_uri": f"{lying.url}/reg/new", "client_id": "new"},
            secret_handle={"registration_access_token": SECRET},
        )  # fmt: skip
        if error is None:
            await provider.end(WANTED, only, None)
            return
        with pytest.raises(error) as caught:
            await provider.end(WANTED, only, None)
        assert unhidden(caught.value) == []


async def test_a_kept_url_of_another_origin_is_not_sent_the_token(shared: Parts) -> None:
    async with LyingProvider(says({})).serve() as lying, LyingProvider(says({})).serve() as other:
        provider = shared.registered(f"{lying.url}/reg", f"{lying.url}/token")
        only = KnownCredential(
            id=generation(1), handle={"registration_client_uri": f"{other.url}/reg/new"},
            secret_handle={"registration_access_token": SECRET},
        )  # fmt: skip
        with pytest.raises(ProviderRefused) as caught:
            await provider.end(WANTED, only, None)
        assert generation(1).client_name in caught.value.message
        assert (lying.asked, other.asked) == ([], [])


# Keycloak

CLIENT_OF_SHOP = {"id": "1", "clientId": "shop", "attributes": {"whence.application": "shop"}}


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        ([CLIENT_OF_SHOP, CLIENT_OF_SHOP], "provider-wrong-id"),
        ([CLIENT_OF_SHOP | {"clientId": "other"}], "provider-wrong-id"),
        ([{"id": "1", "attributes": {"whence.application": "shop"}}], "provider-wrong-id"),
        ([CLIENT_OF_SHOP | {"id": ".."}], "provider-malformed"),
        ([CLIENT_OF_SHOP | {"id": ""}], "provider-malformed"),
        ([CLIENT_OF_SHOP | {"id": 1}], "provider-malformed"),
        ([CLIENT_OF_SHOP | {"attributes": {}}], "provider-client-foreign"),
        ([CLIENT_OF_SHOP | {"attributes": None}], "provider-client-foreign"),
        ([CLIENT_OF_SHOP | {"attributes": ["whence.application"]}], "provider-client-foreign"),
        ([CLIENT_OF_SHOP | {"attributes": {"whence.application": "other"}}], "provider-client-foreign"),
        ({"clients": []}, "provider-malformed"),
        (["shop"], "provider-malformed"),
    ],
    ids=str,
)
async def test_a_client_that_may_be_another_is_not_used(shared: Parts, listed: Any, code: str) -> None:
    async with FakeKeycloak(profiles=profiles_of(), policies=policies_of()).serve() as fake:
        fake.faults = [says(listed)]
        with pytest.raises(ProviderRefused) as caught:
            await shared.keycloak(fake.url).make(WANTED, generation(1), None)
        assert caught.value.code == code
        assert {method for method, _ in fake.asked} == {"GET"}


@pytest.mark.parametrize("document", [[], {"profiles": "two-secrets"}, {"profiles": [1]}, {}, "x", None], ids=str)
async def test_policies_that_cannot_be_read_are_no_policies(shared: Parts, document: Any) -> None:
    fake = FakeKeycloak(profiles=profiles_of(), policies=policies_of())
    fake.add_scope("customer.read_all")
    async with fake.serve():
        provider = shared.keycloak(fake.url)
        await provider.ensure(WANTED)
        for before in (1, 2):
            faults: list[ProviderFault] = [*[as_it_is] * before, says(document)]
            fake.faults = faults
            with pytest.raises(ProviderRefused) as caught:
                await provider.make(WANTED, generation(1), None)
            assert caught.value.code == "provider-no-rotation-policy"


async def test_the_same_secret_of_keycloak_twice_is_refused(shared: Parts) -> None:
    fake = FakeKeycloak(profiles=profiles_of(), policies=policies_of())
    fake.add_scope("customer.read_all")
    async with fake.serve():
        provider = shared.keycloak(fake.url)
        await provider.ensure(WANTED)
        (fake.client("shop") or {})["secret"] = SECRET
        fake.faults = [*[as_it_is] * 5, says({"type": "secret", "value": SECRET})]
        current = KnownCredential(id=generation(0), handle={"mark": SecretMarks(KEY).of("shop", SECRET)})
        with pytest.raises(ProviderRefused) as caught:
            await provider.make(WANTED, generation(1), current)
        assert caught.value.code == "provider-same-secret"


@pytest.mark.parametrize("application_id", ["a&clientId=realm-management", "a/../b", "a b", "ä", "a%2Fb", "a#b"])
async def test_an_application_id_stays_one_value_of_a_query(shared: Parts, application_id: str) -> None:
    fake = FakeKeycloak()
    async with fake.serve():
        await shared.keycloak(fake.url).ensure(replace(WANTED, application_id=application_id, scopes=()))
        assert fake.client(application_id) is not None


# the parts that all have


@pytest.mark.parametrize(
    "document",
    [{}, {"access_token": ""}, {"access_token": 7}, {"token": SECRET}, [], None, {"access_token": "with\nline"}],
    ids=str,
)
async def test_a_token_for_mint_that_cannot_be_sent_is_refused(shared: Parts, document: Any) -> None:
    async with LyingProvider(says(document)).serve() as lying:
        with pytest.raises(ProviderRefused) as caught:
            await shared.keycloak(lying.url).ensure(WANTED)
        assert caught.value.code == "provider-malformed"
        assert len(lying.asked) == 1


@pytest.mark.parametrize("document", [{}, {"access_token": ""}, {"access_token": None}, [], None], ids=str)
async def test_a_credential_is_not_verified_without_a_token(shared: Parts, document: Any) -> None:
    async with LyingProvider(says({})).serve() as lying:
        provider = shared.registered(f"{lying.url}/reg", f"{lying.url}/token")
        lying.lie = says(registered(lying.url), 201)
        made = await provider.make(WANTED, generation(1), None)
        lying.lie = says(document)
        with pytest.raises(ProviderRefused) as caught:
            await provider.verify(WANTED, made)
        assert caught.value.code == "provider-credential-refused"
        assert unhidden(caught.value) == []


@pytest.mark.parametrize("content", [b"", b" \n", b"one\ntwo", b"\xff\xfe", b"a\x00b", b"a" * 20_000])
async def test_a_file_that_is_no_token_is_not_sent(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(SourceUnavailable) as caught:
        await SecretFile(path).read()
    assert caught.value.code == "provider-login-file"


async def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="token cannot be read"):
        await SecretFile(tmp_path / "token").read()


@pytest.mark.parametrize(
    "url",
    [
        "http://provider.example.org", "http://10.0.0.1", "http://169.254.169.254", "ftp://provider.example.org", "",
        "https://user:pw@provider.example.org", "https://provider.example.org/?a=b", "https://provider.example.org/#a",
        "http://127.0.0.1.example.org", "https://", "provider.example.org",
    ],
)  # fmt: skip
def test_a_provider_without_tls_or_a_plain_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        ProviderPlace(name="provider", base_url=url)
    assert caught.value.code == "provider-url"
    assert "user:pw" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["https://provider.example.org/a", "http://127.0.0.1:1", "http://localhost", "http://[::1]:1"]
)
def test_a_provider_by_tls_or_on_loopback_is_used(url: str) -> None:
    assert ProviderPlace(name="provider", base_url=url).is_own(url)


def test_an_origin_is_compared_with_its_default_port_and_without_letter_case() -> None:
    place = ProviderPlace(name="provider", base_url="https://provider.example.org/auth")
    assert place.is_own("https://PROVIDER.example.org:443/reg/1")
    assert not place.is_own("https://provider.example.org:8443/reg/1")
    assert not place.is_own("https://provider.example.org.attacker.example/reg/1")


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["127.0.0.1"], ["169.254.169.254"], ["::1"], ["93.184.215.14", "10.0.0.1"], ["fd00:ec2::254"], []],
    ids=str,
)
async def test_a_provider_that_is_not_public_is_not_asked_unless_the_settings_say_so(
    shared: Parts, addresses: list[str]
) -> None:
    async def lookup(host: str) -> list[str]:
        return addresses

    place = ProviderPlace(name="provider", base_url="https://provider.example.org")
    calls = ProviderHttp(session=shared.session, lookup=lookup, place=place, now=shared.now)
    with pytest.raises(SourceUnavailable) as caught:
        await calls.send("GET", place.url("/"), headers={})
    assert caught.value.code == "provider-private"
    assert "private_addresses: true" in caught.value.fix


async def test_a_provider_without_a_name_server_is_unreachable(shared: Parts) -> None:
    place = ProviderPlace(name="provider", base_url="https://provider.example.org")
    calls = ProviderHttp(session=shared.session, lookup=no_addresses, place=place, now=shared.now)
    with pytest.raises(SourceUnavailable) as caught:
        await calls.send("GET", place.url("/"), headers={})
    assert caught.value.code == "provider-unreachable"
