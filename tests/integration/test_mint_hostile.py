"""mint's API against callers that want credentials that are not theirs, and bodies that no client would send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.mint_house import MintReplica, MintWorld
from fakes.served_mint import APP, BUCKET, FOREIGN, ServedMint, serving
from whence_aggregator.storage.sqlite import SqliteDatabase

WRITES = (
    ("PUT", "/mint/apps/greeter"), ("DELETE", "/mint/apps/greeter"), ("POST", "/mint/apps/greeter/renewal"),
    ("POST", "/v1/credentials/greeter/renew"), ("POST", "/v1/credentials/greeter/revoke"),
)  # fmt: skip
READS = ("/mint/apps", "/mint/apps/greeter", "/v1/credentials", "/v1/credentials/greeter")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServedMint]:
    """Serve mint with an application of the team hello, which has credentials."""
    world = MintWorld()
    world.register("greeter")
    world.register("farewell", team_id="other")
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    mint = MintReplica(database, world)
    await mint.ledger.start()
    await mint.write("greeter", BUCKET)
    await mint.run("greeter")
    async with serving(mint) as running:
        yield running
    await database.close()


async def stored(served: ServedMint) -> object:
    """Return all that is stored of the application."""
    return await served.mint.store.load("greeter")


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "token",
    ["bob", "stranger", "audit", "everywhere", "plain", "unlisted", "nameless", "namesake", "employed", "nowhere"],
)
async def test_who_is_not_of_the_team_writes_renews_and_deletes_nothing(
    served: ServedMint, token: str, method: str, path: str
) -> None:
    """`plain` lacks the scope, `unlisted` is not in the setting, `nameless` is and lacks the scope, `nowhere` has no team;
    `namesake` and `employed` are people with a name of the setting."""
    before = await stored(served)
    answer = await served.ask(method, path, APP if method == "PUT" else None, token=token)
    assert answer.status == 403, answer
    assert await stored(served) == before


@pytest.mark.parametrize("token", ["ada", "own", "employee", "service", "worker", "writer", "root"])
async def test_the_team_its_services_and_who_is_named_in_the_settings_write(served: ServedMint, token: str) -> None:
    for method, path in WRITES:
        if method != "DELETE":
            answer = await served.ask(method, path, APP if method == "PUT" else None, token=token)
            assert answer.status in (200, 202), (method, path, answer)
    assert (await served.ask("DELETE", "/mint/apps/greeter", token=token)).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [*WRITES, ("PATCH", "/mint/apps/greeter"), *(("GET", one) for one in READS)]
)
async def test_a_caller_without_a_valid_token_gets_nothing(served: ServedMint, method: str, path: str) -> None:
    before = await stored(served)
    for token in (None, "unknown"):
        answer = await served.ask(method, path, APP if method in ("PUT", "PATCH") else None, token=token)
        assert answer.status == 401, answer
    assert (await served.ask(method, path, token="mute")).status == 403
    assert await stored(served) == before


@pytest.mark.parametrize("path", ["/mint/apps/greeter", "/v1/credentials/greeter", *READS[::2], "/mint/apps?team_id=hello",
                                  "/v1/credentials?team=hello", "/v1/credentials?problems=true"])  # fmt: skip
async def test_who_reads_their_own_teams_alone_reads_nothing_of_another(served: ServedMint, path: str) -> None:
    answer = await served.ask("GET", path, token="stranger")
    assert (answer.status, answer.body["code"]) == (403, "read-own-teams")


async def test_who_reads_their_own_teams_alone_lists_nothing_that_kio_has_given_to_another(served: ServedMint) -> None:
    """The application was handed over, and mint has not read it since."""
    served.mint.world.register("greeter", team_id="other")
    assert (await served.ask("GET", "/mint/apps?team_id=hello", token="own")).body == []
    assert (await served.ask("GET", "/v1/credentials?team=hello", token="own")).body["applications"] == []
    assert (await served.ask("GET", "/v1/credentials/greeter", token="own")).status == 403
    assert (await served.ask("DELETE", "/mint/apps/greeter", token="ada")).status == 403
    assert (await served.ask("DELETE", "/mint/apps/greeter", token="bob")).status == 200


async def test_the_last_team_of_an_application_that_kio_has_no_more_deletes_it(served: ServedMint) -> None:
    served.mint.world.kio.known.clear()
    assert (await served.ask("DELETE", "/mint/apps/greeter", token="bob")).status == 403
    assert (await served.ask("PUT", "/mint/apps/greeter", APP)).body["code"] == "mint-application-not-in-kio"
    assert (await served.ask("DELETE", "/mint/apps/greeter")).status == 200


@pytest.mark.parametrize("token", ["ada", "bob", "root", "worker", "stranger"])
async def test_nobody_states_the_status_of_an_application(served: ServedMint, token: str) -> None:
    before = await stored(served)
    for body in ({"client_id": "stolen", "last_client_rotation": "2030-01-01T00:00:00Z"}, {}, None):
        answer = await served.ask("PATCH", "/mint/apps/greeter", body, token=token)
        assert (answer.status, answer.body["code"]) == (409, "mint-status-own")
    assert await stored(served) == before


@pytest.mark.parametrize(
    "id_",
    ["Greeter", "g", "-a", "a_b", "a" * 121, "greeter%00", "greeter%2Fuser.json", "..%2Fgreeter", "%2e%2e%2fother", "gr%C3%A9eter",
     "greeter%0A", "greeter%20", "%ef%bc%87"],
)  # fmt: skip
async def test_an_id_that_is_no_applications_reaches_nothing(served: ServedMint, id_: str) -> None:
    for method, path in (("GET", f"/mint/apps/{id_}"), ("PUT", f"/mint/apps/{id_}"), ("DELETE", f"/mint/apps/{id_}"),
                         ("PATCH", f"/mint/apps/{id_}"), ("POST", f"/mint/apps/{id_}/renewal"),
                         ("GET", f"/v1/credentials/{id_}"), ("POST", f"/v1/credentials/{id_}/revoke")):  # fmt: skip
        answer = await served.ask(method, path, APP if method == "PUT" else None, token="root")
        assert answer.status in (400, 404), (method, path, answer)
    assert await served.application_ids() == ["greeter"]


@pytest.mark.parametrize("path", ["/mint/apps/greeter/../farewell", "/mint/apps/greeter/user.json", "/mint/apps/",
                                  "/mint//apps/greeter", "/mint/apps/greeter/renewal/x"])  # fmt: skip
async def test_a_path_that_is_none_of_the_api_is_not_found(served: ServedMint, path: str) -> None:
    for method in ("GET", "PUT", "DELETE", "POST"):
        answer = await served.ask(method, path, APP if method == "PUT" else None, token="root")
        assert answer.status in (404, 405), (method, answer)
    assert await served.application_ids() == ["greeter"]


@pytest.mark.parametrize(
    ("bucket", "code"),
    [
        (FOREIGN, "mint-bucket-account"), ("gs://acme-bucket", "mint-bucket-google"), ("somebodys-bucket", "mint-bucket-unknown"),
        (f"s3://{BUCKET}", "mint-malformed"), (f"{BUCKET}/greeter", "mint-malformed"), (f"{BUCKET}\n", "mint-malformed"),
        ("Acme-Stups-Mint", "mint-malformed"), ("", "mint-malformed"), ("..", "mint-malformed"), ("127.0.0.1", "mint-bucket-name"),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint/x", "mint-malformed"), (None, "mint-malformed"), ({}, "mint-malformed"),
        ("acme-stups-mint-123456789012-eu-west-1.evil", "mint-bucket-unknown"),
    ],
)  # fmt: skip
async def test_a_bucket_that_may_not_be_written_is_refused(served: ServedMint, bucket: object, code: str) -> None:
    before = await stored(served)
    answer = await served.ask("PUT", "/mint/apps/greeter", {**APP, "s3_buckets": [BUCKET, bucket]})
    assert (answer.status, answer.body["code"]) == (400, code)
    assert await stored(served) == before


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "http://greeter.example.org/", "https://", "https:///path", "https://user:pw@greeter.example.org/",
     "https://greeter.example.org@evil.example.com/", "https://greeter.example.org/\r\nX: y", "https://greeter.example.org/\n",
     " https://greeter.example.org/", "https://greeter.example.org/#token", "https://greeter.example.org:0/", "https://[::1",
     "https://greeter.example.org:99999/", "https://gréeter.example.org/", "https://greeter.example.org\\@evil.example.com/",
     "https://" + "a" * 2_000, 7, ["https://greeter.example.org/"], "HTTPS://greeter.example.org/", "data:text/html,x",
     "https://.", "https://../", "https://greeter..example.org/", "https://%65vil.example.com/"],
)  # fmt: skip
async def test_a_redirect_url_that_is_no_safe_https_url_is_refused(served: ServedMint, url: object) -> None:
    before = await stored(served)
    answer = await served.ask("PUT", "/mint/apps/greeter", {**APP, "redirect_url": url})
    assert (answer.status, answer.body["code"]) == (400, "mint-malformed")
    assert "redirect_url" in answer.body["detail"]
    assert await stored(served) == before


SCOPE = {"resource_type_id": "sales-order", "scope_id": "read"}


@pytest.mark.parametrize(
    "change",
    [
        {"is_client_confidential": None}, {"is_client_confidential": "true"}, {"is_client_confidential": 1},
        {"scopes": [SCOPE] * 201}, {"scopes": [{"resource_type_id": "a.b", "scope_id": "read"}]}, {"scopes": "read"},
        {"scopes": [{"resource_type_id": "sales-order"}]}, {"scopes": [{**SCOPE, "realm": "employees"}]},
        {"scopes": [{"resource_type_id": "sales-order", "scope_id": "read write"}]}, {"scopes": [None]}, {"scopes": [[]]},
        {"scopes": [{"resource_type_id": "x" * 101, "scope_id": "read"}]}, {"scopes": {"0": SCOPE}}, {"scopes": [{**SCOPE, "scope_id": []}]},
        {"s3_buckets": BUCKET}, {"s3_buckets": [BUCKET] * 21}, {"s3_buckets": {"0": BUCKET}}, {"s3_bucket": [BUCKET]},
        {"kubernetes_clusters": ["aws:123456789012:eu-west-1:X"]}, {"kubernetes_clusters": ["aws"] * 21},
        {"redirect_urls": ["https://one.example.org/", "https://two.example.org/"]}, {"redirect_urls": ["http://one.example.org/"]},
        {"redirect_urls": ["https://other.example.org/"]}, {"redirect_urls": "https://greeter.example.org/"},
        {"provider": 7}, {"provider": ""}, {"credentials": []}, {"credentials": ["user", "root"]}, {"credentials": "user"},
        {"credentials": ["user", "client", "user"]}, {"id": "farewell"}, {"team_id": "other"}, {"__proto__": {}}, {"": 1},
    ],
)  # fmt: skip
async def test_a_body_with_a_wrong_member_is_refused_whole(served: ServedMint, change: dict[str, Any]) -> None:
    before = await stored(served)
    answer = await served.ask("PUT", "/mint/apps/greeter", {**APP, **change})
    assert (answer.status, answer.body["code"]) == (400, "mint-malformed")
    assert await stored(served) == before


@pytest.mark.parametrize(
    ("change", "code"),
    [({"provider": "nobody"}, "mint-provider-unknown"), ({"provider": "../issuer"}, "mint-provider-unknown"),
     ({"provider": "issuer", "credentials": ["user"]}, "mint-credentials-unknown")],
)  # fmt: skip
async def test_a_provider_that_is_not_configured_is_refused(
    served: ServedMint, change: dict[str, Any], code: str
) -> None:
    answer = await served.ask("PUT", "/mint/apps/farewell", {**APP, **change}, token="bob")
    assert (answer.status, answer.body["code"]) == (400, code)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400), (b"null", 400), (b"[]", 400), (b'"x"', 400), (b"{", 400), (b"\xff\xfe", 400), (b'{"a":\x00}', 400),
        (b'{"is_client_confidential": true, "is_client_confidential": false, "s3_buckets": []}', 400),
        (b'{"is_client_confidential": true, "s3_buckets": [], "scopes": [{"scope_id": "a", "scope_id": "b"}]}', 400),
        (b"[" * 30_000 + b"]" * 30_000, 400), (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400),
        (b'{"is_client_confidential": true, "message": "\\u0000"}', 400), (b'{"a": "\\ud800"}', 400),
        (b'{"s3_errors": ' + b"9" * 5_000 + b"}", 400), (b'{"is_client_confidential": NaN}', 400),
        (json.dumps({"message": "x" * 70_000}).encode(), 413), (b" " * 65_537, 413),
    ],
)  # fmt: skip
async def test_a_body_that_no_client_sends_is_refused(served: ServedMint, content: bytes, status: int) -> None:
    before = await stored(served)
    answer = await served.ask("PUT", "/mint/apps/greeter", content=content)
    assert answer.status == status, answer
    assert await stored(served) == before


async def test_a_body_of_another_type_or_encoded_is_refused(served: ServedMint) -> None:
    for headers, status in (
        ({"Content_Type": "text/plain"}, 406), ({"Content_Type": "application/x-www-form-urlencoded"}, 406),
        ({"Content_Encoding": "br"}, 415),
    ):  # fmt: skip
        answer = await served.ask("PUT", "/mint/apps/greeter", content=json.dumps(APP).encode(), **headers)
        assert answer.status == status, answer


@pytest.mark.parametrize("path", READS)
async def test_an_unknown_or_repeated_parameter_is_refused(served: ServedMint, path: str) -> None:
    for query in ("?unknown=1", "?team_id=hello&team_id=other", "?team=hello&team=other", "?limit=0", "?limit=501"):
        assert (await served.ask("GET", path + query, token="root")).status == 400, query
