"""A member who leaves the team while a push is in progress: the push is not finished, and no image becomes available."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.signing_authority import SigningAuthority
from landscape.front import Client, RunningFront, digest_of, registry_front


@pytest.fixture
async def front(authority: SigningAuthority, tmp_path: Path) -> AsyncIterator[RunningFront]:
    async with registry_front(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as running:
        yield running


async def refused(said_of: Client, repository: str, manifest: bytes) -> None:
    """Check that the manifest is refused under a tag and under its digest."""
    for reference in ("1.0", digest_of(manifest)):
        said = await said_of.put(repository, reference, manifest)
        assert (said.status, said.code) == (403, "DENIED")
        assert said.json["errors"][0]["message"] == "ada may not push for team alpha: not in the team"


async def test_a_member_who_is_removed_during_a_push_may_not_finish_it(front: RunningFront) -> None:
    ada, admin = front.client("token-of-ada", basic=True), front.client()
    manifest = await ada.manifest("alpha/app", b"a layer")
    begun = await ada.ask("POST", "/v2/alpha/app/blobs/uploads/")
    sent = await ada.ask("PATCH", begun.headers["Location"], body=b"another layer")
    assert (begun.status, sent.status) == (202, 202)

    front.people.members["ada"].remove("alpha")

    location = sent.headers["Location"]
    for method, path in (
        ("PATCH", location), ("PUT", f"{location}&digest={digest_of(b'another layer')}"), ("DELETE", location),
        ("POST", "/v2/alpha/app/blobs/uploads/"),
    ):  # fmt: skip
        said = await ada.ask(method, path, body=b"x" if method == "PATCH" else None)
        assert (said.status, said.code) == (403, "DENIED"), method
    await refused(ada, "alpha/app", manifest)
    for path in ("manifests/1.0", f"manifests/{digest_of(manifest)}", f"blobs/{digest_of(b'another layer')}"):
        assert (await admin.ask("GET", f"/v2/alpha/app/{path}")).status == 404, path
    assert (await admin.ask("GET", "/v2/alpha/app/tags/list")).status == 404
    assert (await front.aggregator.get("/v1/images"))["images"] == []


async def test_who_is_added_again_finishes_the_push(front: RunningFront) -> None:
    """Nothing is cached about membership, in either direction."""
    ada = front.client("token-of-ada", basic=True)
    manifest = await ada.manifest("alpha/app", b"a layer")
    front.people.members["ada"].remove("alpha")
    await refused(ada, "alpha/app", manifest)
    front.people.members["ada"].add("alpha")
    assert (await ada.put("alpha/app", "1.0", manifest)).status == 201


async def test_a_push_is_not_finished_while_the_team_service_does_not_answer(front: RunningFront) -> None:
    ada = front.client("token-of-ada", basic=True)
    manifest = await ada.manifest("alpha/app", b"a layer")
    front.people.down = True
    said = await ada.put("alpha/app", "1.0", manifest)
    assert (said.status, said.code) == (503, "UNAVAILABLE")
    front.people.down = False
    assert (await front.client().ask("GET", "/v2/alpha/app/manifests/1.0")).status == 404


async def test_a_removed_member_receives_no_registry_token_to_push_with(front: RunningFront) -> None:
    """A token that was granted before is valid for its five minutes, which tests/unit/test_registry_access.py checks."""
    ada = front.client("token-of-ada", basic=True)
    front.people.members["ada"].remove("alpha")
    granted = (await ada.ask("GET", "/v2/token?service=x&scope=repository:alpha/app:pull,push")).json["token"]
    said = await front.client(granted).ask("POST", "/v2/alpha/app/blobs/uploads/")
    assert (said.status, said.code) == (401, "DENIED")
