"""Approvals of the code by people who wrote none of a version's commits, over both databases."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.four_eyes import (
    MIDDLE,
    NEWER_ONE,
    OLDER_ONE,
    POLICY,
    ahead,
    approved_by_two,
    between,
    commit,
    person,
    rollout,
    runs,
)
from fakes.in_process import OTHER_ACCOUNT, ROOT, InProcess
from fakes.machine import DIGEST, REPOSITORY
from fakes.signing_authority import SigningAuthority
from fakes.versions import NEW, NEWER, OLD, version
from whence_aggregator.collect.version_ranges import VersionRanges
from whence_aggregator.ports import Database
from whence_aggregator.ports_commits import CommitObject, RangeAnswer
from whence_aggregator.queries.work import ADD_TASK, FORGET_TASK, TASKS_OF_KIND
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.facts import RANGE_KIND
from whence_aggregator.trace.lineage import Link
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.version_authors import VersionAuthors
from whence_aggregator.work.questions import SHARED_LANE, question
from whence_aggregator.work.task import Again, Task
from whence_common.clock import to_instant

THIRD = "sha256:" + "7" * 64
REPO = "git.example.org/demo/greeter"
LAUNCH = "2026-11-22T12:00:00Z"
BOB = "Bob <bob@example.org>"


@pytest.fixture
async def house(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority, approvals=POLICY).running() as house:
        yield house


async def link(house: InProcess, at: str | None = None, known_at: str | None = None) -> Link:
    return (await house.lineage(NEWER_ONE, at, known_at)).link("approval")


def value(found: Link) -> dict[str, Any]:
    assert found.value is not None
    return found.value


async def ranges_recorded(house: InProcess) -> int:
    """Return how many facts about the commits between the two versions are in the log."""
    return sum(f"{OLD}..{NEW}".encode() in (one.content or b"") for one in await house.entries("fact"))


async def test_people_who_wrote_no_commit_since_the_previous_version_approve_it(house: InProcess) -> None:
    await rollout(house)
    await approved_by_two(house)
    found = await link(house)
    assert (found.state, found.reason) == ("asserted", None)
    assert value(found)["commits"] == {
        "extent": "all", "previous_version": "1.0", "previous_digest": DIGEST, "previous_commit": OLD, "count": 2,
        "reason": None,
    }  # fmt: skip
    assert value(found)["note"] == (
        "the authors of 2 commits since version 1.0 do not approve the code; authors are as the commits state them"
    )
    assert "git" in [one.source for one in found.evidence]


@pytest.mark.parametrize("found", [
    between("bob"), between("carl", f"tidy\n\nCo-Authored-By: {BOB}\n"),
    between("carl", trailers=(("Co-authored-by", BOB),)),
])  # fmt: skip
async def test_an_author_of_any_commit_since_the_previous_version_does_not_approve_its_code(
    house: InProcess, found: RangeAnswer
) -> None:
    await rollout(house, found)
    await approved_by_two(house)
    judged = await link(house)
    assert (judged.state, value(judged)["missing"]) == ("missing", ["CODE_CHANGE"])
    assert "bob approved CODE_CHANGE: an author of a commit of the version does not count" in str(judged.reason)


@pytest.mark.parametrize(("found", "reason"), [
    (RangeAnswer(reason="not all of the history was read: it is larger than 64 MiB"), "it is larger than 64 MiB"),
    (ahead(NEW, MIDDLE, count=2_500, ada=CommitObject(content=commit("ada"))), "there are 2500 commits, and 2 of them"),
    (ahead(NEW, MIDDLE, ada=CommitObject(content=commit("ada"))), f"commit {MIDDLE[:12]} was not read"),
    (between("carl", trailers=(("X", "y"),) * 101), "only 100 of its trailers were kept"),
    (ahead(NEW, MIDDLE, ada=CommitObject(content=commit("ada")), x=CommitObject(content=b"tree\n\nno author")),
     "names no author by e-mail address"),
])  # fmt: skip
async def test_approvals_are_unknown_where_not_all_authors_are_known(
    house: InProcess, found: RangeAnswer, reason: str
) -> None:
    await rollout(house, found)
    await approved_by_two(house)
    judged = await link(house)
    assert (judged.state, value(judged)["commits"]["extent"]) == ("unknown", "unknown")
    assert reason in str(judged.reason)


async def test_insufficient_approvals_are_missing_whatever_is_not_known(house: InProcess) -> None:
    await rollout(house, RangeAnswer(reason="away"))
    assert (await link(house)).state == "missing"


async def test_without_a_previous_version_only_the_authors_of_the_own_commit_count(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    house.sources.commits[NEW] = commit("ada")
    await runs(house, NEWER_ONE, "1.1")
    await approved_by_two(house)
    found = await link(house)
    assert found.state == "asserted"
    assert value(found)["note"] == (
        "only the authors of the image's own commit are known, not of the commits before it: "
        "no version of the application was recorded before this one; authors are as the commits state them"
    )


async def test_without_a_git_place_that_is_read_only_the_own_commit_counts_and_nothing_is_asked(
    database: Database, authority: SigningAuthority
) -> None:
    async with InProcess(database, authority, approvals=POLICY, git_hosts=frozenset()).running() as house:
        await rollout(house, between("bob"))
        await approved_by_two(house)
        found = await link(house)
        assert (found.state, value(found)["commits"]["extent"]) == ("asserted", "head")
        assert value(found)["commits"]["reason"] == (
            "git.example.org is not in `git_servers` of the aggregator's settings"
        )


async def test_a_previous_version_whose_commit_nobody_knows_leaves_the_approval_unknown(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    house.sources.commits[NEW] = commit("ada")
    await house.versions.state("greeter", "1.0", f"docker://{REPOSITORY}@{DIGEST}", None, ROOT)
    await runs(house, NEWER_ONE, "1.1")
    await approved_by_two(house)
    found = await link(house)
    assert found.state == "unknown"
    assert "the commit of version 1.0, which came before, is not known" in str(found.reason)


async def test_the_commits_of_versions_that_never_ran_are_read_by_themselves(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    house.sources.ranges[OLD, NEW] = between("bob")
    for number, digest, head in (("1.0", DIGEST, OLD), ("1.1", NEWER, NEW)):
        house.sources.commits[head] = commit("ada")
        house.sources.images[digest] = (
            f'{{"url": "https://git.example.org/demo/greeter", "revision": "{head}", "author": "a", "status": ""}}'
        ).encode()
        await house.versions.state("greeter", number, f"docker://{REPOSITORY}@{digest}", None, ROOT)
    await house.work()
    now = to_instant(house.clock())
    for digest in (DIGEST, NEWER):  # as a push to the front has it asked
        asked = question("image-source", f"{REPOSITORY}@{digest}", due_at=now, lane=SHARED_LANE)
        await house.database.write(ADD_TASK.bind([asked]))
    await house.work()
    house.clock.advance(3_600)
    await house.work()
    assert await ranges_recorded(house) == 1


async def test_an_old_version_that_runs_again_is_compared_with_the_one_before_it(house: InProcess) -> None:
    await rollout(house)
    await runs(house, "i-00000000000000003", "1.0", pendingTime=LAUNCH)
    found = (await house.lineage("i-00000000000000003")).link("approval")
    assert value(found)["commits"]["previous_version"] is None


async def test_a_version_that_an_instance_of_another_account_states_is_no_previous_version(house: InProcess) -> None:
    """It would hide commits: an instance may state any version and any commit."""
    await house.register("greeter", team_id="hello")
    house.sources.commits |= {OLD: commit("ada"), NEW: commit("ada")}
    house.sources.ranges[OLD, NEW] = between("bob")
    await runs(house, OLDER_ONE, "1.0")
    evil = await house.machine("i-00000000000000009", accountId=OTHER_ACCOUNT, pendingTime=LAUNCH)
    await house.say(evil, **version("1.0.9", THIRD, NEW))
    await runs(house, NEWER_ONE, "1.1", pendingTime=LAUNCH)
    await approved_by_two(house)
    found = await link(house)
    assert (found.state, value(found)["commits"]["previous_version"]) == ("missing", "1.0")


async def test_a_registered_version_comes_before_one_that_only_instances_state(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    house.sources.commits |= {OLD: commit("ada"), NEW: commit("ada")}
    house.sources.ranges[OLD, NEW] = between("bob")
    await house.versions.state("greeter", "1.0", f"docker://{REPOSITORY}@{DIGEST}", None, ROOT)
    await runs(house, OLDER_ONE, "1.0")
    other = await house.machine("i-00000000000000009", pendingTime=LAUNCH)
    await house.say(other, **version("1.0.9", THIRD, NEW))
    await runs(house, NEWER_ONE, "1.1", pendingTime=LAUNCH)
    assert value(await link(house))["commits"]["previous_version"] == "1.0"


async def test_the_link_is_as_of_the_time_asked_about_and_of_what_was_known_by_then(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    house.sources.commits |= {OLD: commit("ada"), NEW: commit("ada")}
    await runs(house, OLDER_ONE, "1.0")
    house.clock.advance(60)
    await runs(house, NEWER_ONE, "1.1", work=False, pendingTime=LAUNCH)
    await house.evaluator.work()
    await approved_by_two(house)
    house.clock.advance(60)
    before = to_instant(house.clock())
    house.clock.advance(60)
    house.sources.ranges[OLD, NEW] = between("carl")
    await house.work()
    house.clock.advance(60)
    unread = await link(house, before, before)
    assert (unread.state, (await link(house, before)).state, (await link(house)).state) == (
        "unknown", "asserted", "asserted",
    )  # fmt: skip
    assert f"not recorded by {before}" in str(unread.reason)


async def test_the_range_of_a_version_waits_while_a_thousand_others_wait(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    house.sources.commits |= {OLD: commit("ada"), NEW: commit("ada")}
    await runs(house, OLDER_ONE, "1.0")
    due = to_instant(house.clock())
    others = [
        question(RANGE_KIND, f"{REPO}@{number:040x}..{OLD}", due_at=due, lane=SHARED_LANE) for number in range(1_000)
    ]
    await house.database.write(ADD_TASK.bind(others))
    await runs(house, NEWER_ONE, "1.1", work=False, pendingTime=LAUNCH)
    await house.evaluator.work()
    assert len(await house.database.fetch(TASKS_OF_KIND.bind({"kind": RANGE_KIND}))) == 1_000
    asking = VersionRanges(database=house.database, reader=house.tracer.commits, now=house.clock)
    task = Task(kind="version-commits", subject="greeter/1.1", lane=SHARED_LANE, host="", lease=due, attempts=1)
    assert await asking.do(task) == Again(seconds=60.0, reason="too many ranges wait to be collected")
    await house.database.write(FORGET_TASK.bind([{"kind": one["kind"], "subject": one["subject"]} for one in others]))
    await asking.do(task)
    (asked,) = await house.database.fetch(TASKS_OF_KIND.bind({"kind": RANGE_KIND}))
    assert asked["subject"] == f"{REPO}@{OLD}..{NEW}"


async def test_the_commits_in_between_are_asked_for_once(house: InProcess) -> None:
    await rollout(house)
    await runs(house, "i-00000000000000003", "1.1", pendingTime=LAUNCH)
    assert len(await house.database.fetch(TASKS_OF_KIND.bind({"kind": RANGE_KIND}))) == 0
    assert await ranges_recorded(house) == 1


@pytest.mark.parametrize(
    ("name", "found", "counts", "reason"),
    [
        ("bob", between("bob"), "no", "you are an author of a commit of the version"),
        ("ada", RangeAnswer(reason="away"), "no", "you are an author of a commit of the version"),
        ("eve", between("bob"), "yes", None),
        ("eve", RangeAnswer(reason="away"), "unknown", "not all authors of the commits since version 1.0 are known: away"),
    ],
)  # fmt: skip
async def test_whoever_is_about_to_approve_is_told_whether_it_will_count(
    house: InProcess, name: str, found: RangeAnswer, counts: str, reason: str | None
) -> None:
    await rollout(house, found)
    authors = VersionAuthors(database=house.database, reader=house.tracer.commits, policy=POLICY)
    told = await authors.told(await house.versions.read("greeter", "1.1"), "hello", person(name), NOW)
    assert told is not None
    assert (told["counts"], told["reason"]) == (counts, reason)


async def test_without_a_commit_it_is_not_known_whether_an_approval_will_count(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    await house.versions.state("greeter", "1.1", f"docker://{REPOSITORY}@{NEWER}", None, ROOT)
    authors = VersionAuthors(database=house.database, reader=house.tracer.commits, policy=POLICY)
    told = await authors.told(await house.versions.read("greeter", "1.1"), "hello", person("eve"), NOW)
    assert told == {
        "counts": "unknown", "reason": "it is not known from which commit the image was built", "note": None,
    }  # fmt: skip


Step = Callable[[InProcess], Awaitable[None]]


async def _seen(house: InProcess) -> None:
    await runs(house, NEWER_ONE, "1.1", pendingTime=LAUNCH)


async def _registered(house: InProcess) -> None:
    await house.versions.state("greeter", "1.1", f"docker://{REPOSITORY}@{NEWER}", None, ROOT)
    await approved_by_two(house)


async def _history(house: InProcess) -> None:
    house.sources.ranges[OLD, NEW] = between("bob")
    await house.work()


async def _commit(house: InProcess) -> None:
    house.sources.commits |= {OLD: commit("ada"), NEW: commit("ada")}
    await house.work()


_STEPS: tuple[Step, ...] = (_seen, _registered, _history, _commit)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.permutations(_STEPS), pauses=st.lists(st.sampled_from([1, 400]), min_size=4, max_size=4))
async def test_the_order_of_arrival_does_not_change_the_answer(
    authority: SigningAuthority, steps: list[Step], pauses: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        database = await SqliteDatabase.open(Path(directory) / "ledger.db")
        async with InProcess(database, authority, approvals=POLICY).running() as house:
            await house.register("greeter", team_id="hello")
            await runs(house, OLDER_ONE, "1.0")
            for step, seconds in zip(steps, pauses, strict=True):
                house.clock.advance(seconds)
                await step(house)
                if _seen in steps[: steps.index(step) + 1]:
                    assert (await link(house)).state in ("missing", "unknown"), "never approved from ignorance"
            house.clock.advance(86_400)
            await house.work()
            found = await link(house)
            assert (found.state, value(found)["missing"], value(found)["commits"]["count"]) == (
                "missing", ["CODE_CHANGE"], 2,
            )  # fmt: skip
        await database.close()
