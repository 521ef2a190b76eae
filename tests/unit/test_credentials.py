"""The credential keeper: good files survive every bad answer, and the pair changes together."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from fakes.agent_world import FakeIssuer, FakeWebIdentity, Ticks
from fakes.clocks import FakeClock
from fakes.object_store import FakeObjectStore
from landscape.endurance import repeated
from whence_agent.credentials.generations import DirectoryTaken, Generations
from whence_agent.credentials.keeper import WHOLE_SECONDS, CredentialKeeper, Revocation
from whence_agent.credentials.token_sources import TokenSources
from whence_agent.credentials.tokens import TokenKeeper
from whence_agent.patience import Patience
from whence_agent.ports import ObjectUnavailable, SecretUnavailable
from whence_agent.progress.progress import Progress
from whence_agent.redaction import Redactor
from whence_common.backoff import Backoff
from whence_common.runtime.pause import pause
from whence_common.statement import CredentialObjectFacts

USER = json.dumps({"application_username": "u", "application_password": "p1", "more": 1}).encode()
CLIENT = json.dumps({"client_id": "c", "client_secret": None}).encode()
PATIENCE = Patience(backoff=Backoff(first_seconds=0.001, longest_seconds=0.002, random=lambda: 0.5))


class Kept:
    """A keeper over a fake bucket."""

    def __init__(self, directory: Path, revocation: Revocation | None = None) -> None:
        self.store = FakeObjectStore()
        self.store.buckets["mint"] = {"app/user.json": USER, "app/client.json": CLIENT}
        self.directory = directory
        self.redactor = Redactor()
        self.ticks = Ticks()
        self.changes: list[list[CredentialObjectFacts]] = []
        self.progress = Progress(now=FakeClock(), monotonic=self.ticks, boot_id="b", started_at="")
        self.keeper = CredentialKeeper(
            store=self.store,
            generations=Generations(directory, link="credentials", group=os.getegid()),
            progress=self.progress,
            redactor=self.redactor,
            revocation=revocation or Revocation(),
            poll_seconds=1.0,
            random=lambda: 0.5,
            on_change=self.changed,
        )
        self.keeper.configure("mint", "app")

    def put(self, name: str, content: bytes) -> None:
        self.store.buckets["mint"][f"app/{name}"] = content

    def minted(self, name: str, generation: str, *, files: str = "", version: str = "v-1") -> None:
        key = f"app/{name}"
        self.store.metadata[key] = {"whence-generation": generation, **({"whence-files": files} if files else {})}
        self.store.versions[key] = version

    def changed(self) -> None:
        objects = self.objects
        assert objects is not None
        self.changes.append(objects)

    @property
    def objects(self) -> list[CredentialObjectFacts] | None:
        """What is stated of the objects; None if nothing is."""
        facts = self.progress.observed.credentials
        return facts.objects if facts is not None and isinstance(facts.objects, list) else None

    def files(self) -> dict[str, bytes]:
        current = self.directory / "credentials"
        return {path.name: path.read_bytes() for path in current.iterdir()} if current.exists() else {}

    @property
    def state(self) -> tuple[str, int]:
        facts = self.progress.observed.credentials
        assert facts is not None
        return facts.state, facts.generation


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_both_files_are_published_byte_for_byte(kept: Kept) -> None:
    await kept.keeper.poll()
    assert kept.files() == {"user.json": USER, "client.json": CLIENT}
    assert kept.state == ("current", 1)


async def test_a_bucket_that_has_not_answered_is_named_before_the_first_answer(kept: Kept) -> None:
    kept.store.answering.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await kept.keeper.poll()
    assert kept.keeper.message == "s3://mint/app/client.json has not been read yet"


async def test_files_are_for_the_group_only_and_the_way_is_a_relative_link(kept: Kept) -> None:
    await kept.keeper.poll()
    link = kept.directory / "credentials"
    assert str(link.readlink()) == "generations/1"
    assert [oct(path.stat().st_mode & 0o777) for path in link.iterdir()] == ["0o440", "0o440"]
    assert link.stat().st_mode & 0o007 == 0


async def test_an_unchanged_pair_stays_in_its_generation_and_is_asked_for_conditionally(kept: Kept) -> None:
    await kept.keeper.poll()
    await kept.keeper.poll()
    assert kept.state == ("current", 1)
    assert [etag is not None for _, etag in kept.store.asked] == [False, False, True, True]


async def test_objects_are_read_whole_every_ten_minutes_as_an_etag_does_not_tell_versions_apart(kept: Kept) -> None:
    for seconds in (0.0, WHOLE_SECONDS - 1, 1.0, 1.0):
        kept.ticks.now += seconds
        await kept.keeper.poll()
    assert [etag is not None for _, etag in kept.store.asked] == [False, False, True, True, False, False, True, True]
    assert kept.state == ("current", 1)


async def test_a_whole_read_that_failed_is_made_again(kept: Kept) -> None:
    await kept.keeper.poll()
    kept.ticks.now += WHOLE_SECONDS
    del kept.store.buckets["mint"]["app/user.json"]
    await kept.keeper.poll()
    kept.put("user.json", USER)
    await kept.keeper.poll()
    assert [etag for _, etag in kept.store.asked[-2:]] == [None, None]


async def test_one_changed_half_makes_a_new_generation_of_both(kept: Kept) -> None:
    await kept.keeper.poll()
    newer = USER.replace(b"p1", b"p2")
    kept.put("user.json", newer)
    await kept.keeper.poll()
    assert kept.files() == {"user.json": newer, "client.json": CLIENT}
    assert kept.state == ("current", 2)


async def test_old_generations_are_removed_but_one(kept: Kept) -> None:
    for number in range(5):
        kept.put("user.json", USER.replace(b"p1", b"p%d" % number))
        await kept.keeper.poll()
    assert sorted(path.name for path in (kept.directory / "generations").iterdir()) == ["4", "5"]


@pytest.mark.parametrize(
    "name, content",
    [
        ("user.json", b""),
        ("user.json", b"{}"),
        ("user.json", b"[]"),
        ("user.json", b"null"),
        ("user.json", b'"x"'),
        ("user.json", USER[:-5]),
        ("user.json", b"\xff\xfe"),
        ("user.json", b'{"application_username": "", "application_password": "p"}'),
        ("user.json", b'{"application_username": "u", "application_password": null}'),
        ("user.json", b'{"application_username": "u", "application_password": 7}'),
        ("user.json", b"<Error><Code>SlowDown</Code></Error>"),
        ("user.json", b" " * 70_000),
        ("client.json", b'{"client_secret": "s"}'),
        ("client.json", b'{"client_id": "c"}'),
        ("client.json", b"[" * 5000),
    ],
)
async def test_a_bad_object_never_replaces_a_good_file(kept: Kept, name: str, content: bytes) -> None:
    await kept.keeper.poll()
    kept.put(name, content)
    await kept.keeper.poll()
    assert kept.files() == {"user.json": USER, "client.json": CLIENT}
    assert kept.state == ("invalid", 1)
    kept.put(name, USER if name == "user.json" else CLIENT)
    await kept.keeper.poll()
    assert kept.state[0] == "current"


@pytest.mark.parametrize("state", ["not-synced", "bucket-missing", "identity", "unreachable"])
async def test_good_files_survive_an_absent_answer(kept: Kept, state: str) -> None:
    await kept.keeper.poll()
    kept.store.fail_with = [ObjectUnavailable(state, "away")]  # type: ignore[arg-type]  # parametrised
    await kept.keeper.poll()
    assert kept.files() == {"user.json": USER, "client.json": CLIENT}
    assert kept.state == (state, 1)


async def test_403_means_denied_once_the_key_was_read_and_not_synced_before(kept: Kept) -> None:
    kept.store.fail_with = [ObjectUnavailable("not-synced-or-denied", "403")]
    await kept.keeper.poll()
    assert kept.state == ("not-synced-or-denied", 0)
    await kept.keeper.poll()
    kept.store.fail_with = [ObjectUnavailable("not-synced-or-denied", "403")]
    await kept.keeper.poll()
    assert kept.state == ("gone-or-denied", 1)


async def test_nothing_is_published_until_both_are_there(kept: Kept) -> None:
    del kept.store.buckets["mint"]["app/client.json"]
    await kept.keeper.poll()
    assert kept.files() == {}
    assert not kept.keeper.complete


async def test_a_planted_link_is_never_followed(kept: Kept, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (kept.directory / "credentials").symlink_to(victim)
    await kept.keeper.poll()
    assert victim.read_bytes() == b"mine"
    assert kept.files()["user.json"] == USER


async def test_a_generation_that_cannot_be_written_is_reported_and_retried(kept: Kept) -> None:
    (kept.directory / "generations" / "1").mkdir()
    await kept.keeper.poll()
    assert kept.state == ("unwritable", 0)
    (kept.directory / "generations" / "1").rmdir()
    await kept.keeper.poll()
    assert kept.state == ("current", 1)


async def test_no_message_quotes_what_was_read(kept: Kept) -> None:
    kept.put("user.json", b'{"application_username": "u", "application_password": "hunter2hunter2"')
    await kept.keeper.poll()
    assert "hunter2" not in kept.keeper.message


async def test_a_restart_continues_with_the_published_generation(kept: Kept, tmp_path: Path) -> None:
    await kept.keeper.poll()
    kept.keeper.close()
    again = Kept(tmp_path)
    await again.keeper.poll()
    assert again.state == ("current", 1)
    assert [path.name for path in (tmp_path / "generations").iterdir()] == ["1"]


async def test_a_second_keeper_of_one_directory_is_refused(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(DirectoryTaken):
        Kept(tmp_path)
    kept.keeper.close()
    Kept(tmp_path)


async def test_files_of_a_writer_killed_before_the_switch_are_removed(kept: Kept, tmp_path: Path) -> None:
    await kept.keeper.poll()
    kept.keeper.close()
    (tmp_path / "generations" / "2").mkdir()
    (tmp_path / "generations" / "2" / "user.json").write_bytes(b"half")
    again = Kept(tmp_path)
    again.put("user.json", USER.replace(b"p1", b"p2"))
    await again.keeper.poll()
    assert again.files()["user.json"] == USER.replace(b"p1", b"p2")
    assert again.state == ("current", 2)


@pytest.mark.parametrize("files", ["mark", "remove"])
@pytest.mark.parametrize("answer", ["not-synced-or-denied", "not-synced"])
async def test_objects_that_stay_missing_count_as_revoked(tmp_path: Path, files: str, answer: str) -> None:
    kept = Kept(tmp_path, Revocation(after_polls=3, files=files))  # type: ignore[arg-type]  # parametrised
    await kept.keeper.poll()
    for expected in ("not revoked", "not revoked", "revoked"):
        kept.store.fail_with = [ObjectUnavailable(answer, "gone")]  # type: ignore[arg-type]  # parametrised
        await kept.keeper.poll()
        assert (kept.state[0] == "revoked") == (expected == "revoked")
    assert kept.files() == ({} if files == "remove" else {"user.json": USER, "client.json": CLIENT})
    await kept.keeper.poll()
    assert kept.state[0] == "current"
    assert kept.files() == {"user.json": USER, "client.json": CLIENT}


async def test_an_outage_between_two_absences_is_not_a_revocation(tmp_path: Path) -> None:
    kept = Kept(tmp_path, Revocation(after_polls=2))
    await kept.keeper.poll()
    for answer in ("not-synced", "unreachable"):
        kept.store.fail_with = [ObjectUnavailable(answer, "x")]
        await kept.keeper.poll()
    assert kept.state[0] == "unreachable"
    await kept.keeper.poll()
    kept.store.fail_with = [ObjectUnavailable("not-synced", "x")]
    await kept.keeper.poll()
    assert kept.state[0] == "not-synced"


async def test_what_was_fetched_is_masked_from_then_on(kept: Kept) -> None:
    kept.put("user.json", USER.replace(b"p1", b"hunter2hunter2"))
    await kept.keeper.poll()
    assert kept.redactor.scrub("password is hunter2hunter2!") == "password is MASKED!"


@pytest.mark.endurance
async def test_hundreds_of_rotations_leave_nothing_behind(kept: Kept) -> None:
    rotations = repeated(sample=50, whole=500)
    for number in range(rotations):
        kept.put("user.json", USER.replace(b"p1", b"password-%d" % number))
        await kept.keeper.poll()
    assert len(list((kept.directory / "generations").iterdir())) == 2
    assert len(list(kept.directory.iterdir())) == 2
    assert kept.state == ("current", rotations)


class Tokens:
    """Token files beside the pair."""

    def __init__(self, kept: Kept, *, expired: str = "keep", expires_seconds: float = 3600.0) -> None:
        self.kept = kept
        self.ticks = kept.ticks
        self.issuer = FakeIssuer(expires_seconds=expires_seconds)
        self.web_identity = FakeWebIdentity()
        self.sources = TokenSources(
            issuer=self.issuer, web_identity=self.web_identity, audience="https://provider.example.org/token",
            keeper=kept.keeper, redactor=kept.redactor,
        )  # fmt: skip
        self.tokens = TokenKeeper(
            sources=self.sources, keeper=kept.keeper, progress=kept.progress, redactor=kept.redactor,
            expired=expired, random=lambda: 0.5,  # type: ignore[arg-type]  # parametrised
        )  # fmt: skip
        self.tokens.configure({"pay": ("uid", "pay.read")})

    def file(self, suffix: str) -> bytes | None:
        return self.kept.files().get(f"pay-token-{suffix}")


async def test_token_files_are_in_one_generation_with_the_pair(kept: Kept) -> None:
    tokens = Tokens(kept)
    await kept.keeper.poll()
    async with kept.progress.boot.stage("credentials", seconds_max=30) as stage:
        await tokens.tokens.first(stage, PATIENCE)
    assert (tokens.file("type"), tokens.file("secret")) == (b"Bearer", b"token-uid-pay.read-1")
    assert kept.files()["pay-client-id"] == b"c"
    assert kept.files()["user.json"] == USER
    assert kept.redactor.scrub("token-uid-pay.read-1") == "MASKED"


async def test_a_token_is_renewed_before_half_of_its_lifetime(kept: Kept) -> None:
    tokens = Tokens(kept, expires_seconds=1000.0)
    await kept.keeper.poll()
    await tokens.tokens.refresh()
    tokens.ticks.now += 400
    await tokens.tokens.refresh()
    assert tokens.issuer.given == 1
    tokens.ticks.now += 100
    await tokens.tokens.refresh()
    assert tokens.file("secret") == b"token-uid-pay.read-2"


async def test_a_token_is_renewed_as_soon_as_the_client_changes(kept: Kept) -> None:
    tokens = Tokens(kept)
    await kept.keeper.poll()
    await tokens.tokens.refresh()
    kept.put("client.json", CLIENT.replace(b'"c"', b'"c2"'))
    await kept.keeper.poll()
    await tokens.tokens.refresh()
    assert (tokens.file("secret"), kept.files()["pay-client-id"]) == (b"token-uid-pay.read-2", b"c2")
    await tokens.tokens.refresh()
    assert tokens.issuer.given == 2


async def test_a_renewal_for_a_new_client_is_tried_again_until_it_succeeds(kept: Kept) -> None:
    tokens = Tokens(kept)
    await kept.keeper.poll()
    await tokens.tokens.refresh()
    kept.put("client.json", CLIENT.replace(b'"c"', b'"c2"'))
    await kept.keeper.poll()
    tokens.issuer.fail_with = [SecretUnavailable("token-refused", "invalid_client")]
    await tokens.tokens.refresh()
    assert tokens.file("secret") == b"token-uid-pay.read-1"
    await tokens.tokens.refresh()
    assert tokens.file("secret") == b"token-uid-pay.read-2"


async def test_a_change_of_the_files_ends_the_wait_for_the_next_renewal(kept: Kept) -> None:
    tokens = Tokens(kept)
    await kept.keeper.poll()
    await tokens.tokens.refresh()
    kept.put("client.json", CLIENT.replace(b'"c"', b'"c2"'))
    running = asyncio.create_task(tokens.tokens.run())
    await kept.keeper.poll()
    tokens.tokens.look()
    async with asyncio.timeout(10):
        while tokens.issuer.given < 2:
            await pause(0.001)
    running.cancel()
    assert tokens.file("secret") == b"token-uid-pay.read-2"


@pytest.mark.parametrize("expired, left", [("keep", b"token-uid-pay.read-1"), ("remove", None)])
async def test_a_refused_renewal_keeps_the_old_token_unless_the_policy_removes_it(
    kept: Kept, expired: str, left: bytes | None
) -> None:
    tokens = Tokens(kept, expired=expired, expires_seconds=100.0)
    await kept.keeper.poll()
    await tokens.tokens.refresh()
    tokens.issuer.fail_with = [SecretUnavailable("token-refused", "invalid_client")] * 2
    tokens.ticks.now += 60
    await tokens.tokens.refresh()
    assert tokens.file("secret") == b"token-uid-pay.read-1"
    assert "invalid_client" in kept.progress.credentials.tokens_error
    tokens.ticks.now += 60
    await tokens.tokens.refresh()
    assert tokens.file("secret") == left
    await tokens.tokens.refresh()
    assert (tokens.file("secret"), kept.progress.credentials.tokens_error) == (b"token-uid-pay.read-2", "")


async def test_a_restart_keeps_the_token_files_until_new_ones_are_issued(kept: Kept, tmp_path: Path) -> None:
    await kept.keeper.poll()
    await Tokens(kept).tokens.refresh()
    kept.keeper.close()
    again = Kept(tmp_path)
    again.keeper.configure("mint", "app", ["pay"])
    await again.keeper.poll()
    assert again.files()["pay-token-secret"] == b"token-uid-pay.read-1"
    again.keeper.close()
    without = Kept(tmp_path)
    await without.keeper.poll()
    assert set(without.files()) == {"user.json", "client.json"}
