"""Which generation an agent states, and which files an application has, by metadata that anybody may have written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fakes.agent_world import FakeIssuer, World
from unit.test_credentials import CLIENT, USER, Kept
from whence_agent.credentials.objects import object_facts, stated_files
from whence_agent.credentials.sign_in import SignIn
from whence_agent.ports import ObjectUnavailable, RegistryRefused, StoredObject
from whence_agent.registry_settings import RegistrySettings
from whence_agent.settings import Settings
from whence_common.image_reference import ImageReference
from whence_common.statement import Cause, CredentialFacts, CredentialObjectFacts


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def stored(version_id: str = "", **metadata: str) -> StoredObject:
    return StoredObject(
        content=b"s3cret-content", etag="e", version_id=version_id,
        metadata={f"whence-{name}": text for name, text in metadata.items()},
    )  # fmt: skip


@pytest.mark.parametrize(
    "generation", ["", "a b", "a" * 65, "../x", "<script>", "é" * 4, "a\n", "a,b", "\x00", "=?UTF-8?B?w6k=?="]
)
def test_an_id_of_a_generation_that_is_malformed_is_left_out(generation: str) -> None:
    assert object_facts({"user.json": stored("v-1", generation=generation)})[0].generation == ""


@pytest.mark.parametrize("version_id", ["null", "a b", "v" * 1025, "<v>", "v\n"])
def test_a_version_id_that_is_malformed_or_of_no_version_is_left_out(version_id: str) -> None:
    assert object_facts({"user.json": stored(version_id, generation="0a")})[0].version_id == ""


def test_no_content_and_no_digest_is_stated() -> None:
    facts = object_facts({"user.json": stored("v-1", generation="0a")})
    assert msgspec.to_builtins(facts) == ({"file": "user.json", "generation": "0a", "version_id": "v-1"},)


@pytest.mark.parametrize(
    "names", ["", "user.json", "client.json,", "client.json, user.json", "CLIENT.JSON", "../client.json,client.json",
              "client.json," * 40 + "client.json"]
)  # fmt: skip
def test_names_of_files_that_are_malformed_or_leave_out_the_client_mean_both_files(names: str) -> None:
    assert stated_files("client.json", stored(files=names)) == {"user.json", "client.json"}


def test_the_client_states_whether_there_is_a_user() -> None:
    assert stated_files("client.json", stored(files="client.json")) == {"client.json"}
    assert stated_files("client.json", stored(files="user.json,client.json")) == {"user.json", "client.json"}
    assert stated_files("client.json", stored(files="client.json,later.json")) == {"client.json"}


def test_a_statement_of_an_earlier_agent_states_no_objects() -> None:
    facts = msgspec.json.decode(b'{"generation": 1, "state": "current"}', type=CredentialFacts)
    assert facts.objects is msgspec.UNSET
    assert b"objects" not in msgspec.json.encode(facts)


async def test_without_metadata_both_files_are_awaited(kept: Kept) -> None:
    del kept.store.buckets["mint"]["app/user.json"]
    await kept.keeper.poll()
    assert (kept.files(), kept.state) == ({}, ("not-synced", 0))
    assert kept.objects == []


async def test_a_client_without_a_user_is_complete(kept: Kept) -> None:
    del kept.store.buckets["mint"]["app/user.json"]
    kept.minted("client.json", "0a", files="client.json")
    await kept.keeper.poll()
    assert (kept.files(), kept.state) == ({"client.json": CLIENT}, ("current", 1))
    assert kept.keeper.complete
    assert kept.keeper.user() is None
    assert kept.keeper.client() == {"client_id": "c", "client_secret": None}
    assert [key for key, _ in kept.store.asked] == ["app/client.json"]


async def test_a_user_without_a_client_is_complete(kept: Kept) -> None:
    del kept.store.buckets["mint"]["app/client.json"]
    kept.minted("user.json", "0a", files="user.json")
    await kept.keeper.poll()
    assert (kept.files(), kept.state) == ({"user.json": USER}, ("current", 1))
    assert kept.keeper.complete
    assert kept.keeper.client() is None
    kept.store.asked.clear()
    await kept.keeper.poll()
    assert [key for key, _ in kept.store.asked] == ["app/user.json"], "it is not asked for a client any more"


@pytest.mark.parametrize("files", ["", "client.json,user.json", "client.json", "user.json,"])
async def test_a_user_that_does_not_state_that_it_is_alone_waits_for_the_client(kept: Kept, files: str) -> None:
    del kept.store.buckets["mint"]["app/client.json"]
    kept.minted("user.json", "0a", files=files)
    await kept.keeper.poll()
    assert (kept.files(), kept.state) == ({}, ("not-synced", 0))
    assert kept.keeper.message.startswith("client.json: ")


async def test_a_user_that_is_alone_and_invalid_is_not_published(kept: Kept) -> None:
    del kept.store.buckets["mint"]["app/client.json"]
    kept.put("user.json", b"{}")
    kept.minted("user.json", "0a", files="user.json")
    await kept.keeper.poll()
    assert (kept.files(), kept.state) == ({}, ("invalid", 0))


async def test_the_kinds_of_an_application_may_change_in_both_directions(kept: Kept) -> None:
    await kept.keeper.poll()
    client = kept.store.buckets["mint"].pop("app/client.json")
    kept.put("user.json", USER.replace(b"p1", b"p2"))
    kept.minted("user.json", "0b", files="user.json")
    await kept.keeper.poll()
    assert set(kept.files()) == {"user.json"}
    kept.put("user.json", USER.replace(b"p1", b"p3"))
    kept.minted("user.json", "0c", files="client.json,user.json")
    await kept.keeper.poll()
    assert kept.files() == {"user.json": USER.replace(b"p1", b"p2")}, "the earlier file stays until all are there"
    kept.put("client.json", client)
    kept.minted("client.json", "0c", files="client.json,user.json")
    await kept.keeper.poll()
    assert set(kept.files()) == {"client.json", "user.json"}


async def test_an_application_whose_user_was_alone_may_have_a_client_alone(kept: Kept) -> None:
    client = kept.store.buckets["mint"].pop("app/client.json")
    kept.minted("user.json", "0a", files="user.json")
    await kept.keeper.poll()
    del kept.store.buckets["mint"]["app/user.json"]
    kept.put("client.json", client)
    kept.minted("client.json", "0b", files="client.json")
    await kept.keeper.poll()
    assert (set(kept.files()), kept.state[0]) == ({"client.json"}, "current")


async def test_a_user_that_is_gone_by_the_metadata_is_no_longer_published(kept: Kept) -> None:
    await kept.keeper.poll()
    kept.put("client.json", CLIENT.replace(b'"c"', b'"d"'))
    kept.minted("client.json", "0b", files="client.json")
    await kept.keeper.poll()
    assert set(kept.files()) == {"client.json"}


async def test_a_user_that_comes_later_is_awaited(kept: Kept) -> None:
    del kept.store.buckets["mint"]["app/user.json"]
    kept.minted("client.json", "0a", files="client.json")
    await kept.keeper.poll()
    newer = CLIENT.replace(b'"c"', b'"d"')
    kept.put("client.json", newer)
    kept.minted("client.json", "0b", files="user.json,client.json")
    await kept.keeper.poll()
    assert kept.state[0] == "not-synced"
    assert kept.files() == {"client.json": CLIENT}, "the earlier files stay until all are there"
    kept.put("user.json", USER)
    await kept.keeper.poll()
    assert kept.files() == {"client.json": newer, "user.json": USER}


async def test_each_change_of_a_generation_is_stated_once(kept: Kept) -> None:
    kept.minted("user.json", "0a")
    await kept.keeper.poll()
    await kept.keeper.poll()
    client = CredentialObjectFacts(file="client.json")
    first = CredentialObjectFacts(file="user.json", generation="0a", version_id="v-1")
    assert kept.changes == [[client, first]]
    kept.put("user.json", USER.replace(b"p1", b"p2"))
    kept.minted("user.json", "0b", version="v-2")
    await kept.keeper.poll()
    second = CredentialObjectFacts(file="user.json", generation="0b", version_id="v-2")
    assert kept.changes[1:] == [[client, second]]


async def test_what_could_not_be_written_is_not_stated(kept: Kept) -> None:
    kept.minted("user.json", "0a")
    await kept.keeper.poll()
    (kept.directory / "generations" / "2").mkdir()
    kept.put("user.json", USER.replace(b"p1", b"p2"))
    kept.minted("user.json", "0b")
    await kept.keeper.poll()
    assert kept.objects is not None
    assert (kept.state[0], kept.objects[1].generation) == ("unwritable", "0a")


async def test_files_of_an_earlier_process_state_nothing_before_the_bucket_is_read(kept: Kept, tmp_path: Path) -> None:
    kept.minted("user.json", "0a")
    await kept.keeper.poll()
    kept.keeper.close()
    again = Kept(tmp_path)
    again.store.fail_with = [ObjectUnavailable("unreachable", "away")]
    await again.keeper.poll()
    assert again.objects is None


async def test_a_change_is_stated_after_the_boot_and_not_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.reporter.report_change()
    assert world.causes() == []
    world.reporter.report("boot")
    world.reporter.report_change()
    assert world.causes() == ["boot", "change"]


@pytest.mark.parametrize("cause", ["failed", "stop"])
def test_a_machine_that_failed_or_stops_states_no_change_of_credentials(tmp_path: Path, cause: Cause) -> None:
    world = World(tmp_path)
    world.reporter.report(cause)
    world.reporter.report_change()
    assert world.causes() == [cause]


def sign_in(kept: Kept) -> SignIn:
    """A machine whose registry is signed in to with mint's credentials."""
    registries = {"registry.example.org": RegistrySettings(sign_in="mint")}
    return SignIn(
        settings=Settings(aggregator_url="https://whence.example.org", registries=registries), keeper=kept.keeper,
        issuer=FakeIssuer(), redactor=kept.redactor, platform={},
        metadata=None, repositories=None, pull_tokens=None,  # type: ignore[arg-type]  # not asked
    )  # fmt: skip


IMAGE = ImageReference.parse("registry.example.org/team/app:1")


async def test_a_password_grant_without_a_client_is_refused_for_good_and_says_why(kept: Kept) -> None:
    del kept.store.buckets["mint"]["app/client.json"]
    kept.minted("user.json", "0a", files="user.json")
    await kept.keeper.poll()
    with pytest.raises(RegistryRefused) as caught:
        await sign_in(kept).login(IMAGE, {})
    assert (caught.value.code, caught.value.retryable) == ("registry-no-client", False)
    assert "has no client.json" in caught.value.message
    assert caught.value.fix


async def test_a_password_grant_without_a_user_is_refused_for_good_and_says_why(kept: Kept) -> None:
    kept.minted("client.json", "0a", files="client.json")
    await kept.keeper.poll()
    with pytest.raises(RegistryRefused) as caught:
        await sign_in(kept).login(IMAGE, {})
    assert (caught.value.code, caught.value.retryable) == ("registry-no-user", False)
    assert "has no user.json" in caught.value.message
    assert caught.value.fix


async def test_a_password_grant_waits_for_the_files(kept: Kept) -> None:
    with pytest.raises(RegistryRefused) as caught:
        await sign_in(kept).login(IMAGE, {})
    assert (caught.value.code, caught.value.retryable) == ("registry-no-credentials", True)
    await kept.keeper.poll()
    login = await sign_in(kept).login(IMAGE, {})
    assert login is not None
    assert login.username == "oauth2"
