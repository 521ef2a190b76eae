"""Every provider of credentials, as mint relies on it: two are valid at once, and each ends alone.

STUPS and Keycloak are fakes that speak their protocols; registration is by npm `oidc-provider`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web

from fakes.mint_keycloak import ADMIN, REALM, FakeKeycloak, policies_of, profiles_of
from fakes.mint_providers import (
    CASES,
    WANTED,
    Parts,
    ProviderCase,
    generation,
    known,
    parts,
    shown,
)
from fakes.mint_stups import FakeStups
from fakes.openid_provider import CLIENTS, OpenIdProvider, node, openid_provider
from landscape.processes import run
from landscape.whole import ROOT
from whence_aggregator.mint.ports import ProviderRefused
from whence_aggregator.mint.values import KnownCredential, MadeCredential, ResourceScope
from whence_aggregator.ports import SourceUnavailable
from whence_common.errors import WhenceError

T = TypeVar("T")


@pytest.fixture(scope="module")
async def openid(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenIdProvider]:
    async with openid_provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as found:
        yield found


@pytest.fixture(params=CASES)
async def case(request: pytest.FixtureRequest, shared: Parts, openid: OpenIdProvider) -> AsyncIterator[ProviderCase]:
    async with CASES[request.param](shared, openid) as found:
        await found.synced()
        yield found


async def test_a_first_credential_is_valid(case: ProviderCase) -> None:
    made, _ = await case.make(1)
    await case.provider.verify(case.wanted, made)
    assert await case.accepts(made)
    names = {"user": {"application_username", "application_password"}, "client": {"client_id", "client_secret"}}
    assert set(made.document) == names[case.kind]


async def test_a_second_credential_leaves_the_first_one_valid(case: ProviderCase) -> None:
    first, known_first = await case.make(1)
    await case.provider.commit(case.wanted, known_first)
    second, known_second = await case.make(2, known_first)
    assert [await case.accepts(first), await case.accepts(second)] == [True, True]
    await case.provider.commit(case.wanted, known_second)
    assert [await case.accepts(first), await case.accepts(second)] == [True, True]
    assert first.document != second.document


async def test_the_old_credential_ends_and_the_new_one_stays(case: ProviderCase) -> None:
    first, known_first = await case.make(1)
    second, known_second = await case.make(2, known_first)
    await case.provider.commit(case.wanted, known_second)
    await case.provider.end(case.wanted, known_first, known_second)
    assert [await case.accepts(first), await case.accepts(second)] == [False, True]


async def test_a_new_credential_that_failed_ends_and_the_old_one_stays(case: ProviderCase) -> None:
    first, known_first = await case.make(1)
    await case.provider.commit(case.wanted, known_first)
    second, known_second = await case.make(2, known_first)
    await case.provider.end(case.wanted, known_second, known_first)
    assert [await case.accepts(first), await case.accepts(second)] == [True, False]
    third, known_third = await case.make(3, known_first)
    await case.provider.end(case.wanted, known_first, known_third)
    assert [await case.accepts(one) for one in (first, second, third)] == [False, False, True]


async def test_ending_twice_is_no_error_and_ends_nothing_else(case: ProviderCase) -> None:
    _, known_first = await case.make(1)
    second, known_second = await case.make(2, known_first)
    for _ in range(2):
        await case.provider.end(case.wanted, known_first, known_second)
    assert await case.accepts(second)


async def test_committing_twice_changes_nothing(case: ProviderCase) -> None:
    first, known_first = await case.make(1)
    for _ in range(2):
        await case.provider.commit(case.wanted, known_first)
    assert await case.accepts(first)


async def test_ten_rotations_leave_one_valid_credential(case: ProviderCase) -> None:
    all_made: list[MadeCredential] = []
    current = None
    for number in range(10):
        made, following = await case.make(number, current)
        all_made.append(made)
        await case.provider.commit(case.wanted, following)
        if current is not None:
            await case.provider.end(case.wanted, current, following)
        current = following
    assert [await case.accepts(one) for one in all_made] == [False] * 9 + [True]


@pytest.mark.parametrize("first", [True, False], ids=["the first", "a second"])
async def test_a_lost_answer_is_recovered_or_made_again(case: ProviderCase, first: bool) -> None:
    before, current = (None, None) if first else await case.make(1)
    await case.lose()
    with pytest.raises(SourceUnavailable):
        await case.make(2, current)
    found = await case.provider.recover(case.wanted, generation(2, case.kind), current)
    assert (found is not None) == case.finds_lost
    made = found or (await case.make(2, current))[0]
    await case.provider.verify(case.wanted, made)
    assert await case.accepts(made)
    if before is not None and current is not None:
        assert await case.accepts(before)
        await case.provider.end(case.wanted, current, known(made, generation(2, case.kind)))
        assert [await case.accepts(before), await case.accepts(made)] == [False, True]


async def test_nothing_is_recovered_when_nothing_was_made(case: ProviderCase) -> None:
    before, current = await case.make(1)
    assert await case.provider.recover(case.wanted, generation(2, case.kind), current) is None
    assert await case.accepts(before)


async def test_a_generation_that_nothing_is_known_of_ends_without_a_call_that_harms(case: ProviderCase) -> None:
    first, current = await case.make(1)
    lost = known(MadeCredential(document={}), generation(2, case.kind))
    await case.provider.end(case.wanted, lost, current)
    await case.provider.end(case.wanted, lost, None)
    assert await case.accepts(first)


async def test_ensuring_twice_changes_nothing(case: ProviderCase) -> None:
    made, _ = await case.make(1)
    assert await case.provider.ensure(case.wanted) == case.wanted.client_id
    assert await case.accepts(made)


async def test_a_deleted_application_has_no_credential_and_is_deleted_again_without_an_error(
    case: ProviderCase,
) -> None:
    made, only = await case.make(1)
    if case.provider.has_client_per_generation:
        await case.provider.end(case.wanted, only, None)
    for _ in range(2):
        await case.provider.delete(case.wanted)
    assert not await case.accepts(made)
    await case.provider.end(case.wanted, only, None)


async def test_a_credential_that_does_not_work_is_not_verified(case: ProviderCase) -> None:
    made, _ = await case.make(1)
    wrong = {name: "a-secret-that-was-never-made" for name in made.document if name.endswith(("password", "secret"))}
    with pytest.raises(ProviderRefused) as caught:
        await case.provider.verify(case.wanted, replace(made, document={**made.document, **wrong}))
    shows = "a-secret-that-was-never-made" in shown(caught.value) + caught.value.fix
    assert shows == case.shows_secrets


async def test_neither_values_nor_handles_show_a_secret(case: ProviderCase, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="whence_aggregator")
    made, only = await case.make(1)
    await case.provider.verify(case.wanted, made)
    await case.provider.end(case.wanted, only, None)
    hidden = [made.document[name] or "" for name in made.document if name.endswith(("password", "secret"))]
    hidden += made.secret_handle.values()
    assert all(hidden)
    seen = shown(made) + shown(only) + json.dumps(dict(made.handle)) + shown([vars(one) for one in caplog.records])
    assert [one for one in hidden if one in seen] == []


async def test_a_client_without_a_secret_has_an_id_alone(case: ProviderCase) -> None:
    if case.kind != "client":
        return
    case.wanted = replace(case.wanted, is_confidential=False)
    await case.synced()
    made, _ = await case.make(1)
    assert made.document["client_secret"] is None
    assert made.document["client_id"]
    await case.provider.verify(case.wanted, made)


# STUPS


async def test_stups_is_told_of_the_scopes_by_realm_and_of_the_users_own(shared: Parts) -> None:
    async with FakeStups().serve() as fake:
        provider = shared.stups(fake.url)
        scopes = (*WANTED.scopes, ResourceScope(resource_type_id="sales", scope_id="write"))
        client_id = await provider.ensure(replace(WANTED, scopes=scopes))
        assert fake.users["stups_shop"].client_id == client_id
        assert fake.users["stups_shop"].document == {
            "id": "stups_shop", "name": "The shop", "owner": "sales", "subtitle": "",
            "client_config": {
                "redirect_urls": ["https://shop.example.org/callback"], "confidential": True,
                "scopes": [{"realm": "customers", "scopes": ["customer.read_all"]}],
            },
            "user_config": {"scopes": ["sales.write", "uid"]},
        }  # fmt: skip


async def test_a_token_file_that_was_renewed_is_read_again(shared: Parts) -> None:
    async with FakeStups(token="the-second-token").serve() as fake:
        provider = shared.stups(fake.url, token="the-first-token")
        with pytest.raises(ProviderRefused) as caught:
            await provider.ensure(WANTED)
        assert caught.value.code == "provider-login"
        assert caught.value.fix == f"write a valid token to {shared.directory / 'stups.token'}"
        assert len(fake.asked) == 1  # the same token is not sent twice
        (shared.directory / "stups.token").write_text("the-second-token\n")
        await provider.ensure(WANTED)


async def test_a_token_file_that_is_renewed_during_a_request_is_used_at_once(shared: Parts) -> None:
    async with FakeStups().serve() as fake:
        provider = shared.stups(fake.url, token="the-first-token")

        async def renew(_: object) -> None:
            (shared.directory / "stups.token").write_text(fake.token)

        fake.faults.append(renew)
        await provider.ensure(WANTED)
        assert len(fake.asked) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, None), (204, None), (404, None), (409, None), (410, None), (400, ProviderRefused), (500, SourceUnavailable)],
)
async def test_a_commit_that_the_provider_does_not_know_is_logged_and_other_refusals_are_errors(
    shared: Parts, caplog: pytest.LogCaptureFixture, status: int, error: type[WhenceError] | None
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    old = KnownCredential(id=generation(1, "user"), handle={"txid": "1"})
    new = KnownCredential(id=generation(2, "user"), handle={"txid": "2"})
    async with FakeStups().serve() as fake:
        fake.faults.append(answer)
        if error is None:
            await shared.stups(fake.url).end(WANTED, old, new)
        else:
            with pytest.raises(error):
                await shared.stups(fake.url).end(WANTED, old, new)
        assert fake.asked == [("PUT", "/services/stups_shop/password")]
    assert len(caplog.records) == (1 if error is None and status >= 300 else 0)


# registration


async def test_a_lost_registration_is_stated_by_its_name(
    shared: Parts, openid: OpenIdProvider, caplog: pytest.LogCaptureFixture
) -> None:
    async with CASES["registration"](shared, openid) as case:
        await case.lose()
        with pytest.raises(SourceUnavailable):
            await case.make(77)
        await case.provider.recover(case.wanted, generation(77), None)
    name = generation(77).client_name
    assert name == f"shop (whence {77:032x})"
    stated = [record.__dict__["whence_fields"]["client_name"] for record in caplog.records]
    assert stated == [name, name]
    assert (await openid.suite("asked"))["clients"].count(name) == 1


async def test_a_client_is_registered_with_what_its_team_wants_and_nothing_else(
    shared: Parts, openid: OpenIdProvider
) -> None:
    scopes = (*WANTED.scopes, ResourceScope(resource_type_id="sales", scope_id="write"))
    by_code = {"grant_types": ["client_credentials", "authorization_code"], "response_types": ["code"]}
    alone: dict[str, Any] = {"grant_types": ["client_credentials"], "response_types": [], "redirect_uris": []}
    for wanted, expected in (
        (WANTED, by_code | {"redirect_uris": ["https://shop.example.org/callback"], "scope": "customer.read_all"}),
        (replace(WANTED, redirect_url="", scopes=scopes), alone | {"scope": "customer.read_all sales.write"}),
        (replace(WANTED, redirect_url="", scopes=()), alone),
    ):
        provider = shared.registered(f"{openid.issuer}/reg", f"{openid.issuer}/token")
        made = await provider.make(wanted, generation(1), None)
        await provider.verify(wanted, made)
        token = made.secret_handle["registration_access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with shared.session.get(made.handle["registration_client_uri"], headers=headers) as answer:
            stated = await answer.json()
        names = ("grant_types", "response_types", "redirect_uris", "scope")
        assert {name: stated[name] for name in names if name in stated} == expected
        assert stated["client_name"] == f"shop (whence {1:032x})"
        assert stated["token_endpoint_auth_method"] == "client_secret_basic"


async def test_metadata_that_the_provider_does_not_accept_is_refused_with_its_reason(
    shared: Parts, openid: OpenIdProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider = shared.registered(f"{openid.issuer}/reg", f"{openid.issuer}/token")
    unknown = (ResourceScope(resource_type_id="no", scope_id="such"),)
    for wanted in (replace(WANTED, scopes=unknown), replace(WANTED, redirect_url="https://shop.example.org/#a")):
        with pytest.raises(
            ProviderRefused, match=r"refuses to register a client \(HTTP 400\): invalid_\w+, \w+"
        ) as caught:
            await provider.make(wanted, generation(1), None)
        assert caught.value.code == "provider-refused"
    assert caplog.records == []  # nothing was registered, so nothing may be left


async def test_an_initial_access_token_that_is_not_accepted_is_refused_with_its_file(
    shared: Parts, openid: OpenIdProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider = shared.registered(f"{openid.issuer}/reg", f"{openid.issuer}/token", token="another-token")
    with pytest.raises(ProviderRefused) as caught:
        await provider.make(WANTED, generation(1), None)
    assert caught.value.code == "provider-login"
    assert "registration.token" in caught.value.fix
    assert caplog.records == []


# Keycloak


async def test_keycloaks_own_client_drives_the_fake(shared: Parts) -> None:
    async with FakeKeycloak().serve() as fake:
        told = await run(node(), ROOT / "tests/clients/drive_keycloak.mjs", CLIENTS, fake.url, REALM, *ADMIN)
        assert json.loads(told.splitlines()[-1]) == {  # its client notes that client credentials have no refresh token
            "conditions": ["client-access-type"], "refused": 409, "found": [["driven", "changed", "here"]],
            "redirects": ["https://one.example.org/"], "optional": ["customer.read_all", "offline_access"],
            "without": 0, "differ": True, "both": [True, True], "one": [False, True], "gone": None,
        }  # fmt: skip


async def test_a_realm_without_a_policy_for_two_secrets_is_refused_before_anything_is_made(shared: Parts) -> None:
    async with FakeKeycloak().serve() as fake:
        fake.add_scope("customer.read_all")
        provider = shared.keycloak(fake.url)
        await provider.ensure(WANTED)
        before = (fake.client("shop") or {})["secret"]
        for profiles, policies in (
            ({"profiles": []}, {"policies": []}),
            (profiles_of(), {"policies": []}),
            ({"profiles": []}, policies_of()),
            (profiles_of(), policies_of(enabled=False)),
            (profiles_of(), policies_of("")),
            (profiles_of(), policies_of("client-roles", roles=["some"])),
            (profiles_of(), policies_of("client-access-type", type=["public"])),
            (profiles_of(), policies_of("any-client", **{"is-negative-logic": True})),
            ({"profiles": [{"name": "two-secrets", "executors": [{"executor": "pkce-enforcer"}]}]}, policies_of()),
        ):
            fake.profiles, fake.policies = profiles, policies
            with pytest.raises(ProviderRefused) as caught:
                await provider.make(WANTED, generation(1), None)
            assert caught.value.code == "provider-no-rotation-policy"
            assert "secret-rotation" in caught.value.fix
        assert (fake.client("shop") or {})["secret"] == before


@pytest.mark.parametrize(
    "periods",
    [
        {"rotated_expiration_period": 86_399},
        {"rotated_expiration_period": "3600"},
        {"rotated_expiration_period": "soon"},
        {"rotated_expiration_period": -1},
        {"rotated_expiration_period": None},
        {"expiration_period": 39 * 86_400},
    ],
    ids=str,
)
async def test_a_policy_that_ends_secrets_too_early_is_refused(shared: Parts, periods: dict[str, Any]) -> None:
    async with FakeKeycloak(profiles=profiles_of(**periods), policies=policies_of()).serve() as fake:
        fake.add_scope("customer.read_all")
        with pytest.raises(ProviderRefused) as caught:
            await shared.keycloak(fake.url).make(WANTED, generation(1), None)
        assert caught.value.code == "provider-rotation-policy-short"


async def test_a_policy_that_is_not_in_force_is_logged_and_the_new_secret_is_used(
    shared: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeKeycloak(profiles=profiles_of(), policies=policies_of(), rotation_is_on=False)
    fake.add_scope("customer.read_all")
    async with fake.serve():
        provider = shared.keycloak(fake.url)
        first = await provider.make(WANTED, generation(1), None)
        assert caplog.records == []
        second = await provider.make(WANTED, generation(2), known(first, generation(1)))
        assert (fake.client("shop") or {})["secret"] == second.document["client_secret"]
        assert ["ended the secret before" in record.getMessage() for record in caplog.records] == [True]


async def test_a_client_that_mint_did_not_create_is_never_touched(shared: Parts) -> None:
    async with FakeKeycloak(profiles=profiles_of(), policies=policies_of()).serve() as fake:
        provider = shared.keycloak(fake.url)
        for name in ("realm-management", ADMIN[0]):
            wanted, before = replace(WANTED, application_id=name), json.dumps(fake.client(name))
            for attempt in (
                provider.ensure(wanted), provider.delete(wanted), provider.make(wanted, generation(1), None),
                provider.recover(wanted, generation(1), None),
                provider.end(wanted, KnownCredential(id=generation(1), handle={"mark": "0"}), None),
            ):  # fmt: skip
                with pytest.raises(ProviderRefused) as caught:
                    await attempt
                assert caught.value.code == "provider-client-foreign"
            assert json.dumps(fake.client(name)) == before
        assert {method for method, _ in fake.asked} == {"GET"}


@asynccontextmanager
async def client_of_before(
    shared: Parts,
) -> AsyncIterator[tuple[FakeKeycloak, Callable[[str | None], Awaitable[bool]]]]:
    """A client that an operator has given to mint, and whether a secret of it is accepted."""
    async with FakeKeycloak(profiles=profiles_of(), policies=policies_of()).serve() as fake:
        fake.add_scope("customer.read_all")
        await shared.keycloak(fake.url).ensure(WANTED)
        url = f"{fake.url}/realms/{REALM}/protocol/openid-connect/token"
        yield fake, lambda secret: shared.token(url, ("shop", secret or ""), grant_type="client_credentials")


async def test_the_secret_of_before_mint_stays_valid_beside_the_first(shared: Parts) -> None:
    async with client_of_before(shared) as (fake, accepts):
        old = (fake.client("shop") or {})["secret"]
        made = await shared.keycloak(fake.url).make(WANTED, generation(1), None)
        assert [await accepts(old), await accepts(made.document["client_secret"])] == [True, True]


async def test_the_secret_of_before_mint_is_never_taken_for_one_that_mint_made(shared: Parts) -> None:
    async with client_of_before(shared) as (fake, accepts):
        provider, old = shared.keycloak(fake.url), (fake.client("shop") or {})["secret"]
        fake.policies = policies_of(enabled=False)
        with pytest.raises(ProviderRefused):
            await provider.make(WANTED, generation(1), None)
        assert await provider.recover(WANTED, generation(1), None) is None
        fake.policies, fake.faults = policies_of(), [*[as_it_is] * 5, unavailable]
        with pytest.raises(SourceUnavailable):
            await provider.make(WANTED, generation(1), None)  # the request to make one did not arrive
        assert await provider.recover(WANTED, generation(1), None) is None
        assert await accepts(old)


async def patient(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call whose answer was lost, as mint does."""
    for _ in range(3):
        with suppress(SourceUnavailable):
            return await call()
    raise AssertionError("one answer is lost, and no more")


async def rotation_with_a_failure(shared: Parts, number: int, *, is_lost: bool, fails: str) -> int:
    """Make a second secret and end one of the two, while one request fails; return how many requests were sent."""
    async with client_of_before(shared) as (fake, accepts):
        provider = shared.keycloak(fake.url)
        first = await provider.make(WANTED, generation(1), None)
        current = known(first, generation(1))
        fake.asked.clear()
        fake.lost_at, fake.faults = (number, []) if is_lost else (0, [*[as_it_is] * (number - 1), unavailable])

        async def again() -> MadeCredential:
            found = await provider.recover(WANTED, generation(2), current)
            return found or await provider.make(WANTED, generation(2), current)

        second = await patient(again)
        newer = known(second, generation(2))
        assert [await accepts(one.document["client_secret"]) for one in (first, second)] == [True, True]
        ending, staying = (newer, current) if fails == "new" else (current, newer)
        await patient(lambda: provider.end(WANTED, ending, staying))
        valid = [await accepts(one.document["client_secret"]) for one in (first, second)]
        assert valid == ([True, False] if fails == "new" else [False, True])
        return len(fake.asked)


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "refused"])
@pytest.mark.parametrize("fails", ["new", "old"])
async def test_no_request_that_fails_costs_the_credential_that_stays(shared: Parts, is_lost: bool, fails: str) -> None:
    number, sent = 1, 1
    while number <= sent:
        sent = await rotation_with_a_failure(shared, number, is_lost=is_lost, fails=fails)
        number += 1
    assert number > 10


@pytest.mark.parametrize("secret", ["short", "with a space in it", "ünïcödé"])
async def test_a_client_whose_secret_of_before_is_weak_gets_another(shared: Parts, secret: str) -> None:
    async with client_of_before(shared) as (fake, accepts):
        (fake.client("shop") or {})["secret"] = secret
        made = await shared.keycloak(fake.url).make(WANTED, generation(1), None)
        assert await accepts(made.document["client_secret"])


async def test_a_secret_is_made_once_for_a_generation(shared: Parts) -> None:
    async with client_of_before(shared) as (fake, accepts):
        provider = shared.keycloak(fake.url)
        first = await provider.make(WANTED, generation(1), None)
        current = known(first, generation(1))
        made = [await provider.make(WANTED, generation(2), current) for _ in range(3)]
        assert [one.document for one in made] == [made[0].document] * 3
        assert await accepts(first.document["client_secret"])


async def test_a_secret_that_was_not_ended_does_not_cost_the_current_one(shared: Parts) -> None:
    async with client_of_before(shared) as (fake, accepts):
        provider = shared.keycloak(fake.url)
        first = await provider.make(WANTED, generation(1), None)
        current = known(first, generation(1))
        left = await provider.make(WANTED, generation(2), current)
        third = await provider.make(WANTED, generation(3), current)
        secrets = [one.document["client_secret"] for one in (first, left, third)]
        assert [await accepts(one) for one in secrets] == [True, False, True]


@pytest.mark.parametrize(("rotated_until", "stays"), [(2**31, True), (1, False)])
async def test_a_first_secret_that_failed_leaves_the_secret_of_before_mint_unless_it_has_expired(
    shared: Parts, rotated_until: int, stays: bool
) -> None:
    async with client_of_before(shared) as (fake, accepts):
        fake.rotated_until = rotated_until
        provider, old = shared.keycloak(fake.url), (fake.client("shop") or {})["secret"]
        made = await provider.make(WANTED, generation(1), None)
        await provider.end(WANTED, known(made, generation(1)), None)
        assert [await accepts(old), await accepts(made.document["client_secret"])] == [stays, False]


async def as_it_is(request: web.Request) -> None:
    """Let the fake answer."""


async def unavailable(request: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def test_a_client_follows_what_its_team_changes_and_an_operator_may_disable_it(shared: Parts) -> None:
    async with FakeKeycloak().serve() as fake:
        for name in ("customer.read_all", "sales.write"):
            fake.add_scope(name)
        provider = shared.keycloak(fake.url)
        await provider.ensure(WANTED)
        assert fake.optional_scopes("shop") == {"customer.read_all"}
        client = fake.client("shop") or {}
        assert [client["redirectUris"], client["publicClient"], client["enabled"], client["serviceAccountsEnabled"]] == [
            ["https://shop.example.org/callback"], False, True, True,
        ]  # fmt: skip
        client["enabled"] = False
        changed = replace(
            WANTED, redirect_url="", name="Another", scopes=(ResourceScope(resource_type_id="sales", scope_id="write"),)
        )
        await provider.ensure(changed)
        assert fake.optional_scopes("shop") == {"sales.write"}
        assert [client["redirectUris"], client["name"], client["enabled"]] == [[], "Another", False]
        fake.asked.clear()
        await provider.ensure(changed)
        assert {method for method, _ in fake.asked} == {"GET"}


async def test_a_scope_that_the_realm_does_not_have_is_named(shared: Parts) -> None:
    async with FakeKeycloak().serve() as fake:
        with pytest.raises(ProviderRefused) as caught:
            await shared.keycloak(fake.url).ensure(WANTED)
        assert caught.value.code == "provider-scope-unknown"
        assert "customer.read_all" in caught.value.message


async def test_mints_own_token_is_renewed_when_keycloak_no_longer_accepts_it(shared: Parts) -> None:
    async with FakeKeycloak().serve() as fake:
        fake.add_scope("customer.read_all")
        provider = shared.keycloak(fake.url)
        await provider.ensure(WANTED)
        assert len(fake.tokens) == 1
        fake.tokens.clear()
        await provider.ensure(WANTED)
        assert len(fake.tokens) == 1


async def test_mints_own_secret_that_is_wrong_is_refused_with_what_to_check(shared: Parts) -> None:
    async with FakeKeycloak().serve() as fake:
        with pytest.raises(ProviderRefused) as caught:
            await shared.keycloak(fake.url, secret="not-the-secret-of-mint").ensure(WANTED)
        assert "manage-clients" in caught.value.fix
        assert "not-the-secret-of-mint" not in shown(caught.value) + caught.value.fix
