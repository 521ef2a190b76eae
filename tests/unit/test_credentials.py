"""The credential keeper: good files survive every bad answer, and the pair changes together."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fakes.clocks import FakeClock
from fakes.object_store import FakeObjectStore
from whence_agent.credentials import CredentialKeeper, Revocation
from whence_agent.generations import Generations
from whence_agent.ports import ObjectUnavailable
from whence_agent.progress import Progress
from whence_agent.redaction import Redactor

USER = json.dumps({"application_username": "u", "application_password": "p1", "more": 1}).encode()
CLIENT = json.dumps({"client_id": "c", "client_secret": None}).encode()


class Kept:
    """A keeper over a fake bucket."""

    def __init__(self, directory: Path) -> None:
        self.store = FakeObjectStore()
        self.store.buckets["mint"] = {"app/user.json": USER, "app/client.json": CLIENT}
        self.directory = directory
        self.progress = Progress(now=FakeClock(), monotonic=lambda: 0.0, boot_id="b", started_at="")
        self.keeper = CredentialKeeper(
            store=self.store,
            generations=Generations(directory, link="credentials", group=os.getegid()),
            progress=self.progress,
            redactor=Redactor(),
            revocation=Revocation(),
            poll_seconds=1.0,
            random=lambda: 0.5,
        )
        self.keeper.configure("mint", "app")

    def put(self, name: str, content: bytes) -> None:
        self.store.buckets["mint"][f"app/{name}"] = content

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


async def test_a_generation_that_cannot_be_written_is_told_and_tried_again(kept: Kept) -> None:
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
