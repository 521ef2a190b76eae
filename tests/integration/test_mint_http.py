"""mint's storage API and `/v1/credentials` over HTTP, as clients of mint and `whence` ask them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.mint_house import MintReplica, MintWorld, found_secrets
from fakes.served_mint import APP, BUCKET, SECOND, ServedMint, serving
from whence_aggregator.mint.values import CredentialKind
from whence_aggregator.storage.sqlite import SqliteDatabase


@pytest.fixture
async def mint(tmp_path: Path) -> AsyncIterator[MintReplica]:
    world = MintWorld()
    world.register("greeter")
    world.register("farewell", team_id="other")
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    replica = MintReplica(database, world)
    await replica.ledger.start()
    yield replica
    await database.close()


@pytest.fixture
async def served(mint: MintReplica) -> AsyncIterator[ServedMint]:
    async with serving(mint) as running:
        yield running


async def test_an_application_is_created_minted_renewed_and_deleted_as_a_client_of_mint_does_it(
    served: ServedMint, mint: MintReplica
) -> None:
    assert (await served.ask("GET", "/mint/apps")).body == []
    assert (await served.ask("GET", "/mint/apps/greeter")).status == 404
    created = await served.ask("PUT", "/mint/apps/greeter", APP)
    assert (created.status, created.body) == (200, None)
    found = (await served.ask("GET", "/mint/apps/greeter")).body
    assert found == {
        "id": "greeter", "username": "stups_greeter", "client_id": None, "last_password_rotation": None,
        "last_client_rotation": None, "last_modified": "2026-11-22T12:00:00.000Z", "last_synced": None,
        "has_problems": False, "message": None, "s3_errors": 0, "redirect_url": "https://greeter.example.org/",
        "is_client_confidential": True, "s3_buckets": [BUCKET], "kubernetes_clusters": [],
        "scopes": [{"resource_type_id": "sales-order", "scope_id": "read"}], "provider": "stups",
        "credentials": ["user", "client"],
    }  # fmt: skip
    await mint.run("greeter")
    (listed,) = (await served.ask("GET", "/mint/apps")).body
    assert (listed["id"], listed["last_password_rotation"]) == ("greeter", "2026-11-22T12:00:00.000Z")
    assert (await served.ask("GET", "/mint/apps/greeter")).body["client_id"] == "stups_greeter"

    mint.world.clock.advance(100)
    assert (await served.ask("POST", "/mint/apps/greeter/renewal")).status == 200
    await mint.run("greeter")
    renewed = (await served.ask("GET", "/mint/apps/greeter")).body
    assert renewed["last_client_rotation"] == "2026-11-22T12:01:40.000Z"

    assert (await served.ask("DELETE", "/mint/apps/greeter")).status == 200
    assert (await served.ask("GET", "/mint/apps/greeter")).status == 404
    assert (await served.ask("GET", "/mint/apps")).body == []
    assert (await served.ask("DELETE", "/mint/apps/greeter")).status == 404
    await mint.settle("greeter")
    assert mint.objects("greeter", BUCKET) == {}


async def test_what_was_read_may_be_sent_back_whole(served: ServedMint) -> None:
    """yourturn changes a member of what it has read."""
    await served.ask("PUT", "/mint/apps/greeter", APP)
    found = (await served.ask("GET", "/mint/apps/greeter")).body
    assert (await served.ask("PUT", "/mint/apps/greeter", {**found, "s3_buckets": [SECOND, BUCKET]})).status == 200
    again = (await served.ask("GET", "/mint/apps/greeter")).body
    assert again == {**found, "s3_buckets": [SECOND, BUCKET]}


async def test_an_application_without_buckets_is_deleted(served: ServedMint, mint: MintReplica) -> None:
    await served.ask("PUT", "/mint/apps/greeter", APP)
    assert (await served.ask("PUT", "/mint/apps/greeter", {**APP, "s3_buckets": []})).status == 200
    assert (await served.ask("GET", "/mint/apps/greeter")).status == 404
    await mint.settle("greeter")
    assert (await served.ask("PUT", "/mint/apps/greeter", {**APP, "s3_buckets": []})).status == 200
    assert await served.application_ids() == []


async def test_a_write_while_the_application_is_being_deleted_is_a_conflict(served: ServedMint) -> None:
    await served.ask("PUT", "/mint/apps/greeter", APP)
    await served.ask("DELETE", "/mint/apps/greeter")
    answer = await served.ask("PUT", "/mint/apps/greeter", APP)
    assert (answer.status, answer.body["code"]) == (409, "mint-deleting")
    assert answer.body["message"] == answer.body["detail"]


async def test_applications_are_filtered_by_a_scope(served: ServedMint) -> None:
    await served.ask("PUT", "/mint/apps/greeter", APP)
    await served.ask("PUT", "/mint/apps/farewell", {**APP, "scopes": []}, token="bob")
    for query, ids in (
        ("", ["farewell", "greeter"]), ("?resource_type_id=sales-order", ["greeter"]), ("?scope_id=read", ["greeter"]),
        ("?resource_type_id=sales-order&scope_id=read", ["greeter"]), ("?scope_id=write", []),
        ("?resource_type_id=other&scope_id=read", []), ("?team_id=other", ["farewell"]),
    ):  # fmt: skip
        assert [one["id"] for one in (await served.ask("GET", f"/mint/apps{query}")).body] == ids, query


async def test_a_provider_and_its_credentials_are_chosen_once_and_kept_by_clients_that_do_not_know_them(
    served: ServedMint,
) -> None:
    sent = {**APP, "provider": "issuer"}
    assert (await served.ask("PUT", "/mint/apps/greeter", sent)).status == 200
    for body in (sent, APP, {**APP, "credentials": ["client"]}):
        assert (await served.ask("PUT", "/mint/apps/greeter", body)).status == 200
        found = (await served.ask("GET", "/mint/apps/greeter")).body
        assert (found["provider"], found["credentials"]) == ("issuer", ["client"])
    changed = await served.ask("PUT", "/mint/apps/greeter", {**APP, "provider": "stups"})
    assert (changed.status, changed.body["code"]) == (409, "mint-provider-fixed")


async def test_the_api_is_at_the_root_where_it_is_alone(mint: MintReplica) -> None:
    async with serving(mint, path="") as alone:
        assert (await alone.ask("PUT", "/apps/greeter", APP)).status == 200
        assert [one["id"] for one in (await alone.ask("GET", "/apps")).body] == ["greeter"]
        assert [one["id"] for one in (await alone.ask("GET", "/apps?team_id=hello", token="own")).body] == ["greeter"]
        assert (await alone.ask("POST", "/apps/greeter/renewal", token="own")).status == 200
        assert (await alone.ask("DELETE", "/apps/greeter", token="own")).status == 200


async def test_the_generations_of_an_application_and_their_readers_are_shown(
    served: ServedMint, mint: MintReplica
) -> None:
    await served.ask("PUT", "/mint/apps/greeter", APP)
    await mint.run("greeter")
    first = {one.kind: one.id.generation for one in (await mint.state("greeter")).generations}
    holding: dict[CredentialKind, str | None] = {"user": first["user"], "client": first["client"]}
    mint.world.hold("greeter", holding, {"user": None, "client": None}, {"user": "", "client": first["client"]})
    shown = (await served.ask("GET", "/v1/credentials/greeter")).body
    user = next(one for one in shown["generations"] if one["kind"] == "user")
    assert user["generation"] == first["user"]
    assert (user["phase"], user["is_current"], user["readers"], user["readers_unknown"]) == ("committed", True, 1, 1)
    assert user["buckets"] == [{"bucket": BUCKET, "version_id": "v2", "looked_at": None}]
    assert (shown["instances_total"], shown["problems"], shown["possible_orphans"]) == (3, [], [])
    assert shown["instances"][2]["generations"] == {"user": "", "client": first["client"]}
    assert (shown["team_id"], shown["state"], shown["as_of"]) == ("hello", "minted", "2026-11-22T12:00:00.000Z")


async def test_a_problem_is_shown_with_what_to_do_and_found_by_the_list(served: ServedMint, mint: MintReplica) -> None:
    await served.ask("PUT", "/mint/apps/greeter", APP)
    await served.ask("PUT", "/mint/apps/farewell", APP, token="bob")
    mint.world.buckets.absent.add(BUCKET)
    await mint.run("greeter")
    assert (await served.ask("GET", "/mint/apps/greeter")).body["has_problems"] is True
    page = (await served.ask("GET", "/v1/credentials?problems=true")).body
    assert [one["application_id"] for one in page["applications"]] == ["greeter"]
    assert {one["code"] for one in page["applications"][0]["problems"]} == {"bucket-missing"}
    page = (await served.ask("GET", "/v1/credentials?problems=false")).body
    assert [one["application_id"] for one in page["applications"]] == ["farewell"]


async def test_the_list_is_read_page_by_page_and_by_team(served: ServedMint) -> None:
    await served.ask("PUT", "/mint/apps/greeter", APP)
    await served.ask("PUT", "/mint/apps/farewell", APP, token="bob")
    first = (await served.ask("GET", "/v1/credentials?limit=1")).body
    assert ([one["application_id"] for one in first["applications"]], first["next"]) == (["farewell"], "farewell")
    rest = (await served.ask("GET", "/v1/credentials?limit=1&cursor=farewell")).body
    assert ([one["application_id"] for one in rest["applications"]], rest["next"]) == (["greeter"], None)
    own = (await served.ask("GET", "/v1/credentials?team=hello", token="own")).body
    assert [one["application_id"] for one in own["applications"]] == ["greeter"]


async def test_a_generation_whose_answer_was_lost_and_that_ended_is_shown_as_a_possible_orphan(
    served: ServedMint, mint: MintReplica
) -> None:
    await served.ask("PUT", "/mint/apps/greeter", {**APP, "credentials": ["client"]})
    mint.world.provider.is_finding = False
    mint.world.provider.weather = lambda request: "garbage" if request == "make" else "fine"
    await mint.run("greeter")
    mint.world.provider.weather = lambda request: "fine"
    await mint.settle("greeter")
    shown = (await served.ask("GET", "/v1/credentials/greeter")).body
    assert shown["possible_orphans"] != []
    for one in shown["possible_orphans"]:
        assert (one["kind"], one["provider"]) == ("client", "stups")
        assert one["fix"].startswith("look at stups")
    ended = [one for one in await mint.logged() if (one["step"], one["mac"]) == ("ended", "")]
    assert [one["generation"] for one in shown["possible_orphans"]] == [one["generation"] for one in ended][::-1]


async def test_credentials_are_renewed_and_revoked(served: ServedMint, mint: MintReplica) -> None:
    await served.ask("PUT", "/mint/apps/greeter", APP)
    await mint.run("greeter")
    mint.world.clock.advance(100)
    renewed = await served.ask("POST", "/v1/credentials/greeter/renew")
    assert (renewed.status, renewed.body["renewal_reason"]) == (202, "renewal requested by ada")
    await mint.run("greeter")
    phases = [one["phase"] for one in (await served.ask("GET", "/v1/credentials/greeter")).body["generations"]]
    assert sorted(phases) == ["committed"] * 4
    mint.world.clock.advance(100)
    revoked = await served.ask("POST", "/v1/credentials/greeter/revoke")
    assert (revoked.status, revoked.body["revoked_at"]) == (202, "2026-11-22T12:03:20.000Z")
    await mint.settle("greeter", days=1)
    assert await mint.orphans("greeter") == []


async def test_no_answer_has_a_secret(served: ServedMint, mint: MintReplica) -> None:
    await served.ask("PUT", "/mint/apps/greeter", APP)
    await mint.run("greeter")
    mint.world.provider.weather = lambda request: "garbage" if request == "verify" else "fine"
    mint.world.clock.advance(100)
    await served.ask("POST", "/v1/credentials/greeter/renew")
    await mint.run("greeter")
    answers = [
        str((await served.ask("GET", path)).body).encode()
        for path in ("/mint/apps", "/mint/apps/greeter", "/v1/credentials", "/v1/credentials/greeter")
    ]
    secrets = list(mint.world.provider.secrets())
    assert len(secrets) >= 3
    assert found_secrets(iter(answers), secrets) == []
