"""Applications beyond Kio: what changed when and by whom, conditions against lost updates, repositories and trackers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fakes.auditor import checked, dumped
from fakes.in_process import ROOT, InProcess
from whence_aggregator.applications.conditions import UNCONDITIONAL, Conditions
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.callers.caller import Caller
from whence_common.errors import WhenceError

LEAST: dict[str, Any] = {"team_id": "hello", "name": "Greeter", "active": True}
ADA = Caller(name="ada", teams=frozenset({"hello"}), subject=("https://issuer", "1"))
REPOSITORIES = ["https://git.example.org/demo/greeter", "git@git.example.org:demo/greeter-deploy.git"]
TRACKERS = [
    {"pattern": "{project}-{number}", "type": "jira", "project": "PAY", "url": "https://jira.example.org/browse/{ticket}"},
    {"pattern": "#{number}", "type": "github", "project": None, "url": None},
]  # fmt: skip


async def put(house: InProcess, written: dict[str, Any], **conditions: str) -> int:
    wanted = Conditions.parse(conditions.get("match"), conditions.get("none_match"))
    return await house.applications.replace("greeter", written, ADA, conditions=wanted)


async def patch(house: InProcess, written: dict[str, Any], **conditions: str) -> int:
    wanted = Conditions.parse(conditions.get("match"), conditions.get("none_match"))
    return await house.applications.patch("greeter", written, ADA, conditions=wanted)


async def code(house: InProcess, written: dict[str, Any]) -> str:
    with pytest.raises(WhenceError) as caught:
        await patch(house, written)
    return caught.value.code


async def shown(house: InProcess, at: str | None = None) -> dict[str, Any]:
    return (await house.applications.read_whole("greeter", at=at)).shown


async def test_the_history_has_each_changed_field_with_author_time_and_entry(house: InProcess) -> None:
    await house.register(scm_url="https://git.example.org/a")
    house.clock.advance(60)
    await patch(house, {"scm_url": None, "criticality_level": 1, "trackers": TRACKERS[1:]})
    (newer, first), following = await house.application_history.page("greeter", at=None, after="", limit=10)
    assert newer["changes"] == [
        {"field": "scm_url", "from": "https://git.example.org/a", "to": None},
        {"field": "criticality_level", "from": None, "to": 1},
        {"field": "repositories", "from": ["https://git.example.org/a"], "to": []},
        {"field": "trackers", "from": [], "to": TRACKERS[1:]},
    ]
    entries = await house.entries("application")
    assert [one["ledger_index"] for one in (first, newer)] == [one.ledger_index for one in entries]
    assert (newer["revision"], newer["recorded_at"], newer["recorded_by"], newer["subject"], following) == (
        2, "2026-11-22T12:01:00.000Z", "ada", ["https://issuer", "1"], None,
    )  # fmt: skip
    assert (first["recorded_by"], first["subject"]) == ("root", None)
    assert {one["field"]: (one["from"], one["to"]) for one in first["changes"]} == {
        "active": (None, True), "team_id": (None, "hello"), "name": (None, "Greeter"),
        "scm_url": (None, "https://git.example.org/a"), "publicly_accessible": (None, False),
        "repositories": (None, ["https://git.example.org/a"]),
    }  # fmt: skip


async def test_the_history_pages_and_ends_at_a_time(house: InProcess) -> None:
    for number in range(5):
        await house.register(name=f"Greeter {number}")
        house.clock.advance(60)
    after, names = "", list[str]()
    while True:
        found, following = await house.application_history.page("greeter", at=None, after=after, limit=2)
        names += [one["to"] for each in found for one in each["changes"] if one["field"] == "name"]
        if following is None:
            break
        after = following
    assert names == [f"Greeter {number}" for number in (4, 3, 2, 1, 0)]
    found, _ = await house.application_history.page("greeter", at="2026-11-22T12:01:30.000Z", after="", limit=10)
    assert [one["revision"] for one in found] == [2, 1]
    with pytest.raises(WhenceError) as caught:
        await house.application_history.page("nobody", at=None, after="", limit=2)
    assert caught.value.code == "application-unknown"


async def test_a_put_replaces_and_a_patch_clears_what_it_sets_to_null(house: InProcess) -> None:
    await put(house, {**LEAST, "subtitle": "Hello", "description": "Greets", "incident_contact": "ada"})
    await patch(house, {"subtitle": None, "publicly_accessible": True})
    found = await shown(house)
    assert (found["subtitle"], found["description"], found["publicly_accessible"]) == (None, "Greets", True)
    await put(house, LEAST)
    found = await shown(house)
    assert (found["description"], found["incident_contact"], found["publicly_accessible"]) == (None, None, False)
    for name in ("team_id", "name", "active"):
        assert await code(house, {name: None}) == "application-key-missing"
    assert await code(house, {"criticality_level": "2"}) == "application-type"
    assert await code(house, {"created_by": "eve"}) == "application-key"


async def test_what_changes_nothing_is_no_revision(house: InProcess) -> None:
    assert (await put(house, LEAST), await put(house, LEAST), await patch(house, {})) == (1, 1, 1)
    assert len(await house.entries("application")) == 1


async def test_a_condition_prevents_a_lost_update(house: InProcess) -> None:
    await put(house, LEAST, none_match="*")
    await patch(house, {"name": "One"}, match='"1"')
    for match in ('"1"', 'W/"2"', '"x"'):
        with pytest.raises(WhenceError) as caught:
            await patch(house, {"name": "Two"}, match=match)
        assert caught.value.code == "precondition-failed"
    with pytest.raises(WhenceError) as caught:
        await put(house, LEAST, none_match="*")
    assert caught.value.code == "precondition-failed"
    await patch(house, {"name": "Two"}, match='"9", "2"')
    await patch(house, {"name": "Three"}, match="*")
    assert (await shown(house))["name"] == "Three"
    with pytest.raises(WhenceError) as caught:
        await house.applications.replace("other", LEAST, ADA, conditions=Conditions.parse("*", None))
    assert caught.value.code == "precondition-failed"
    for match in ("2", "", '"2', "*, *"):
        with pytest.raises(WhenceError) as caught:
            await patch(house, {"name": "Two"}, match=match)
        assert caught.value.code == "condition-malformed"


async def test_of_a_hundred_concurrent_updates_of_one_revision_one_is_stored(house: InProcess) -> None:
    await put(house, LEAST)

    changes = [patch(house, {"name": f"Greeter {number}"}, match='"1"') for number in range(100)]
    done = await asyncio.gather(*changes, return_exceptions=True)
    refused = [one for one in done if isinstance(one, WhenceError) and one.code == "precondition-failed"]
    assert (len(refused), done.count(2)) == (99, 1)
    assert (await shown(house))["name"] == f"Greeter {done.index(2)}"


async def test_an_application_has_several_repositories_and_kios_is_the_first(house: InProcess) -> None:
    await put(house, {**LEAST, "repositories": REPOSITORIES})
    found = await shown(house)
    assert (found["scm_url"], found["repositories"]) == (REPOSITORIES[0], REPOSITORIES)
    await house.applications.write("greeter", {**LEAST, "scm_url": REPOSITORIES[1]}, ROOT)
    found = await shown(house)
    assert (found["scm_url"], found["repositories"]) == (REPOSITORIES[1], REPOSITORIES[1:])
    await patch(house, {"repositories": [*REPOSITORIES, "https://git.example.org/demo/third"]})
    assert (await shown(house))["scm_url"] == REPOSITORIES[0]
    await patch(house, {"scm_url": None})
    assert (await shown(house))["repositories"] == [REPOSITORIES[1], "https://git.example.org/demo/third"]
    await patch(house, {"repositories": None})
    found = await shown(house)
    assert (found["scm_url"], found["repositories"]) == (None, [])


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"repositories": ["see the wiki"]}, "repository-malformed"),
        ({"repositories": ["https://ada:secret@git.example.org/a/b"]}, "repository-credentials"),
        ({"repositories": ["https://token@git.example.org/a/b"]}, "repository-credentials"),
        ({"scm_url": "https://ada:secret@git.example.org/a/b"}, "repository-credentials"),
        ({"repositories": ["https://git.example.org/a/b", "git@git.example.org:a/b.git"]}, "repositories-repeated"),
        ({"repositories": [f"https://git.example.org/a/r{n}" for n in range(21)]}, "repositories-too-many"),
        ({"repositories": "https://git.example.org/a/b"}, "repositories-malformed"),
        ({"repositories": [REPOSITORIES[1]], "scm_url": REPOSITORIES[0]}, "repositories-disagree"),
        ({"trackers": [{"type": "jira"}]}, "trackers-malformed"),
        ({"trackers": [{"pattern": "PAY"}]}, "ticket-pattern-invalid"),
        ({"trackers": [{"pattern": "(a+)+{number}"}]}, "ticket-pattern-invalid"),
        ({"trackers": [{"pattern": "{project}-{number}", "project": "{number}"}]}, "tracker-project"),
        ({"trackers": [{"pattern": "#{number}", "type": "Jira Cloud"}]}, "tracker-type"),
        ({"trackers": [{"pattern": "#{number}", "approved_states": [" "]}]}, "tracker-states"),
        ({"trackers": [{"pattern": "#{number}", "approved_states": ["x"] * 51}]}, "tracker-states"),
        ({"trackers": [{"pattern": "#{number}", "approved_states": ["x" * 101]}]}, "tracker-states"),
        ({"trackers": [{"pattern": "#{number}", "url": "javascript:{ticket}"}]}, "ticket-url"),
        ({"trackers": [{"pattern": "#{number}"}, {"pattern": "#{number}", "type": "jira"}]}, "trackers-repeated"),
        ({"trackers": [{"pattern": f"P{n}-{{number}}"} for n in range(21)]}, "trackers-too-many"),
    ],
)
async def test_wrong_repositories_and_trackers_are_refused(
    house: InProcess, change: dict[str, Any], expected: str
) -> None:
    await put(house, LEAST)
    assert await code(house, change) == expected


async def test_every_state_is_readable_by_time_and_the_rebuild_is_the_same(house: InProcess, tmp_path: Path) -> None:
    await put(house, {**LEAST, "repositories": REPOSITORIES, "trackers": TRACKERS})
    house.clock.advance(60)
    await house.handovers.offer("greeter", "other", "they run it", ADA)
    house.clock.advance(60)
    offer = await house.handovers.open_offer("greeter")
    assert offer is not None
    await house.handovers.close("greeter", offer.number, "accepted", Caller(name="bob", teams=frozenset({"other"})))
    house.clock.advance(60)
    before = await shown(house, "2026-11-22T12:00:30.000Z")
    assert (before["team_id"], before["trackers"]) == ("hello", TRACKERS)
    assert (await shown(house))["team_id"] == "other"
    at_times = {at: await house.handovers.listed("greeter", at=f"2026-11-22T12:0{at}:30.000Z") for at in (0, 1, 2)}
    assert {at: [one["action"] for one in found] for at, found in at_times.items()} == {
        0: [], 1: ["offered"], 2: ["accepted", "offered"],
    }  # fmt: skip
    derived = await dumped(house.database)
    outcome = await checked(house, tmp_path)
    assert outcome.findings == []
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == derived


async def test_a_patch_of_nothing_that_exists_is_not_found(house: InProcess) -> None:
    with pytest.raises(WhenceError) as caught:
        await house.applications.patch("greeter", {"name": "x"}, ADA, conditions=UNCONDITIONAL)
    assert caught.value.code == "application-unknown"
