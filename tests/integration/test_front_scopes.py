"""A registry token is for what it was granted for: it lists, sees and writes nothing else, however it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from multidict import CIMultiDict

from fakes.signing_authority import SigningAuthority
from landscape.front import Client, RunningFront, digest_of, registry_front

MINE, OTHERS = "alpha/mine", "beta/hidden"
LAYER, CONFIG = b"the layer of beta", b'{"of": "beta"}'


@pytest.fixture(scope="module")
async def front(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningFront]:
    directory = tmp_path_factory.mktemp("front")
    async with registry_front(directory, directory, authority_pem={"eu-central-1": authority.pem}) as running:
        await running.client().push(MINE, "1.0", b"the layer of alpha")
        await running.client().push(OTHERS, "1.0", LAYER, config=CONFIG)
        yield running


async def granted(front: RunningFront, *scopes: str) -> Client:
    """Give a client whose token was granted for these scopes, to somebody who may do everything."""
    query = "&".join(f"scope={scope}" for scope in scopes)
    said = await front.client(basic=True).ask("GET", f"/v2/token?service=x&{query}")
    assert said.status == 200, said.body
    return front.client(said.json["token"])


LISTS = [
    "/v2/_catalog", "/v2/_catalog?n=1000&last=a", "/teams", "/teams/alpha/artifacts", "/teams/beta/artifacts",
    f"/tags/{digest_of(CONFIG)}", "/stats", "/stats/teams", "/stats/teams/beta",
]  # fmt: skip
OF_OTHERS = [
    "/teams/beta/artifacts/hidden/tags", "/teams/beta/artifacts/hidden/tags/1.0/scm-source",
    "/v1/repositories/beta/hidden/tags", f"/v2/{OTHERS}/tags/list", f"/v2/{OTHERS}/manifests/1.0",
    f"/v2/{OTHERS}/blobs/{digest_of(LAYER)}", f"/v2/{OTHERS}/referrers/{digest_of(LAYER)}",
    "/v2/never/pushed/tags/list", "/teams/never/artifacts/pushed/tags", "/v1/repositories/never/pushed/tags",
]  # fmt: skip


@pytest.mark.parametrize("path", [*LISTS, *OF_OTHERS])
async def test_a_token_for_one_repository_sees_no_other(front: RunningFront, path: str) -> None:
    client = await granted(front, f"repository:{MINE}:pull,push")
    said = await client.ask("GET", path)
    assert (said.status, said.code) == (401, "DENIED")
    head = await client.ask("HEAD", path)
    assert head.status in (401, 405), "HEAD tells no more than GET"
    assert (await front.client().ask("GET", path)).status in (200, 404), "who asks with all rights is answered"


async def test_a_token_for_one_repository_reads_every_route_of_that_repository(front: RunningFront) -> None:
    client = await granted(front, f"repository:{MINE}:pull")
    for path in (f"/v2/{MINE}/tags/list", f"/v2/{MINE}/manifests/1.0", "/teams/alpha/artifacts/mine/tags",
                 "/v1/repositories/alpha/mine/tags", "/v2/"):  # fmt: skip
        assert (await client.ask("GET", path)).status == 200


async def test_the_catalogue_needs_a_scope_of_its_own_which_the_challenge_names(front: RunningFront) -> None:
    asked = await front.nobody().ask("GET", "/v2/_catalog")
    assert (asked.status, 'scope="registry:catalog:*"' in asked.headers["WWW-Authenticate"]) == (401, True)
    client = await granted(front, "registry:catalog:*")
    assert set((await client.ask("GET", "/v2/_catalog")).json["repositories"]) == {MINE, OTHERS}
    assert (await client.ask("GET", "/teams")).json == ["alpha", "beta"]
    assert (await client.ask("GET", f"/v2/{MINE}/manifests/1.0")).status == 401
    assert (await client.ask("POST", f"/v2/{MINE}/blobs/uploads/")).status == 401


@pytest.mark.parametrize(
    "scope",
    ["", "repository:*:pull", "repository:beta/*:pull", "repository:beta/hidden%2F:pull", "repository:beta//hidden:pull",
     "repository:alpha/../beta/hidden:pull", "repository:BETA/hidden:pull", "repository(plugin):beta/hidden:pull",
     "repository:beta/hidden:pull:pull", "repository:beta:pull", "repository::pull", "repository:beta/hidden:",
     "repository:beta/hidden:PULL", "repository:beta/hidden:pullx,xpull", "registry:catalog", "registry:*:*",
     "registry:catalogs:*", "repository:registry:catalog:*"],
)  # fmt: skip
async def test_wildcards_and_odd_scopes_grant_nothing(front: RunningFront, scope: str) -> None:
    client = await granted(front, scope)
    for path in ("/v2/_catalog", "/teams", f"/v2/{OTHERS}/manifests/1.0", f"/v2/{OTHERS}/tags/list"):
        assert (await client.ask("GET", path)).status == 401


@pytest.mark.parametrize(
    "path",
    [f"/v2/{MINE}/../../beta/hidden/tags/list", "/v2/alpha%2Fmine%2F..%2F..%2Fbeta%2Fhidden/tags/list",
     "/v2/beta%2Fhidden/tags/list", f"/v2/{MINE}/tags/list/../../../../{OTHERS}/tags/list",
     f"/v2/{MINE}//{OTHERS}/tags/list", "/teams/beta/artifacts/hidden%2Ftags/tags"],
)  # fmt: skip
async def test_another_repository_cannot_be_reached_by_the_way_it_is_written(front: RunningFront, path: str) -> None:
    client = await granted(front, f"repository:{MINE}:pull,push")
    said = await client.ask("GET", path)
    assert said.status in (400, 401, 404)
    assert b"1.0" not in said.body


async def test_a_blob_of_another_repository_is_neither_mounted_nor_finished_elsewhere(front: RunningFront) -> None:
    client = await granted(front, f"repository:{MINE}:pull,push")
    mount = f"/v2/{MINE}/blobs/uploads/?mount={digest_of(LAYER)}&from={OTHERS}"
    said = await client.ask("POST", mount)
    assert (said.status, said.code) == (401, "DENIED")
    assert (await client.ask("HEAD", f"/v2/{MINE}/blobs/{digest_of(LAYER)}")).status == 404
    everywhere = await granted(front, f"repository:{MINE}:pull,push", f"repository:{OTHERS}:pull,push")
    begun = await everywhere.ask("POST", f"/v2/{OTHERS}/blobs/uploads/")
    moved = begun.headers["Location"].replace(OTHERS, MINE)
    for one in (client, everywhere):
        said = await one.ask("PATCH", moved, body=b"bytes")
        assert (said.status, said.code) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_two_authorization_headers_sign_in_nobody(front: RunningFront) -> None:
    good, wrong = f"Bearer {front.aggregator.token}", "Bearer wrong"
    for both in ((good, wrong), (wrong, good), (good, good)):
        headers = CIMultiDict([("Authorization", one) for one in both])
        for path in ("/v2/", f"/v2/{MINE}/tags/list", f"/v2/token?scope=repository:{MINE}:pull"):
            async with front.session.get(front.url + path, headers=headers) as answer:
                (error,) = (await answer.json(content_type=None))["errors"]
                assert (answer.status, error["code"]) == (401, "UNAUTHORIZED")
                assert error["message"] == "the request has more than one header Authorization (send one)"


async def test_a_token_to_pull_pushes_nothing(front: RunningFront) -> None:
    client = await granted(front, f"repository:{MINE}:pull")
    manifest = (await client.ask("GET", f"/v2/{MINE}/manifests/1.0")).body
    begun = await front.client().ask("POST", f"/v2/{MINE}/blobs/uploads/")
    calls = [
        ("POST", f"/v2/{MINE}/blobs/uploads/"), ("PUT", f"/v2/{MINE}/manifests/2.0"),
        ("PATCH", begun.headers["Location"]), ("PUT", f"{begun.headers['Location']}&digest={digest_of(b'x')}"),
        ("GET", begun.headers["Location"]), ("DELETE", begun.headers["Location"]), ("DELETE", f"/v2/{MINE}/manifests/1.0"),
    ]  # fmt: skip
    for method, path in calls:
        said = await client.ask(method, path, body=manifest if method == "PUT" else None)
        assert (said.status, said.code) == (401, "DENIED"), (method, path)


async def test_a_granted_token_grants_no_other(front: RunningFront) -> None:
    client = await granted(front, f"repository:{MINE}:pull")
    for wanted in (f"repository:{OTHERS}:pull", "registry:catalog:*", f"repository:{MINE}:pull"):
        assert (await client.ask("GET", f"/v2/token?service=x&scope={wanted}")).status == 401
        form = f"grant_type=refresh_token&refresh_token={client.authorization.removeprefix('Bearer ')}&scope={wanted}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await front.nobody().ask("POST", "/v2/token", body=form.encode(), headers=headers)).status == 401
