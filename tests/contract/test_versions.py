"""Versions and their approvals, on both databases: bound to digests, given once by each person, kept for ever."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.auditor import checked, dumped
from fakes.in_process import InProcess
from fakes.kept_blobs import image as pushed_image
from fakes.machine import DIGEST, REPOSITORY
from whence_aggregator.approvals.shown import kio_approval, kio_listed, kio_version, shown_version
from whence_aggregator.approvals.versions import ApprovalAsked
from whence_aggregator.audit.forgetting import Forgetting
from whence_aggregator.audit.naming import Persons
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.callers.caller import Caller
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import Repository
from whence_common.clock import to_instant
from whence_common.errors import WhenceError
from whence_common.statement import ApplicationFacts, ImageFacts

HOST = "pierone.example.org"
OTHER = "sha256:" + "e" * 64
APP, THEIRS = Repository(team="hello", artifact="greeter"), Repository(team="evil", artifact="greeter")
BOT = Principal(name="ci", kind="person")


def person(name: str, *teams: str, **changes: Any) -> Caller:
    given: dict[str, Any] = {
        "name": name, "teams": frozenset(teams or ("hello",)), "realm": "people",
        "subject": ("https://idp.example.org", name), "emails": (f"{name}@example.org",), **changes,
    }  # fmt: skip
    return Caller(**given)


ADA, BOB = person("ada"), person("bob")


async def pushed(house: InProcess, repository: Repository = APP, tag: str = "1.0", n: str = "1") -> str:
    """Push an image; return its digest."""
    one = pushed_image(n=n)
    await house.pushes.push(repository, tag, one, BOT)
    return str(one.digest)


async def seen(house: InProcess, digest: str, instance_id: str = "i-0123456789abcdef0", **document: str) -> None:
    """Have an instance state that it runs greeter 1.0 with a digest."""
    image = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=digest)
    machine = await house.machine(instance_id, **document)
    await house.say(machine, image=image, application=ApplicationFacts(id="greeter", version="1.0"), containers=[])


async def stated(house: InProcess, artifact: str, notes: str | None = None, by: Caller = ADA) -> None:
    await house.versions.state("greeter", "1.0", artifact, notes, by)


async def approve(house: InProcess, by: Caller = ADA, type_: str = "DEPLOY", **asked: Any) -> str:
    return (await house.versions.approve("greeter", "1.0", ApprovalAsked(type=type_, **asked), by)).digest


async def refusal(house: InProcess, by: Caller = ADA, type_: str = "DEPLOY", **asked: Any) -> str:
    before = len(await house.entries("approval"))
    with pytest.raises(WhenceError) as caught:
        await approve(house, by, type_, **asked)
    assert len(await house.entries("approval")) == before
    return caught.value.code


async def shown(house: InProcess, **read: Any) -> dict[str, Any]:
    return shown_version(await house.versions.read("greeter", "1.0", **read))


# --- a version and its digest


async def test_a_push_registers_a_version_by_itself(house: InProcess) -> None:
    await house.register()
    digest = await pushed(house)
    (version,) = await house.versions.page("greeter", after="", limit=10)
    assert kio_listed(version) == {
        "id": "1.0", "application_id": "greeter", "artifact": f"docker://{HOST}/hello/greeter:1.0",
        "last_modified": "2026-11-22T12:00:00.000Z",
    }  # fmt: skip
    found = shown_version(version)
    assert (found["digest"], found["digest_source"], found["reason"]) == (digest, "push", None)
    assert await house.entries("version") == []


async def test_a_version_is_registered_when_it_is_first_seen_running(house: InProcess) -> None:
    await house.register()
    await seen(house, DIGEST)
    found = await shown(house)
    assert (found["digest"], found["digest_source"], found["created_by"]) == (DIGEST, "statement", "123456789012")
    assert found["reason"] == "only instances state the image of this version: nobody pushed or registered it here"


async def test_a_version_that_somebody_states_has_its_artifact_and_notes(house: InProcess) -> None:
    await house.register()
    await stated(house, f"docker://{REPOSITORY}@{DIGEST}", "first")
    house.clock.advance(60)
    await stated(house, f"docker://{REPOSITORY}@{DIGEST}", by=BOB)
    assert kio_version(await house.versions.read("greeter", "1.0")) == {
        "id": "1.0", "application_id": "greeter", "artifact": f"docker://{REPOSITORY}@{DIGEST}", "notes": None,
        "created": "2026-11-22T12:00:00.000Z", "created_by": "ada",
        "last_modified": "2026-11-22T12:01:00.000Z", "last_modified_by": "bob",
    }  # fmt: skip


async def test_a_put_of_what_is_stored_already_is_no_entry(house: InProcess) -> None:
    await house.register()
    for _ in range(3):
        await stated(house, f"docker://{REPOSITORY}@{DIGEST}", "same")
    assert len(await house.entries("version")) == 1


async def test_an_artifact_by_tag_is_bound_to_the_digest_that_the_front_has(house: InProcess) -> None:
    await house.register()
    digest = await pushed(house, Repository(team="hello", artifact="other-name"), "7")
    await stated(house, "docker://hello/other-name:7")
    assert (await shown(house))["digest"] == digest


async def test_an_unknown_digest_is_said_so_and_bound_when_the_tag_is_pushed(house: InProcess) -> None:
    await house.register()
    await stated(house, "docker://hello/other-name:7")
    found = await shown(house)
    assert (found["digest"], found["reason"]) == (
        None, "no image of this version is known yet: it is bound when it is pushed or first seen running",
    )  # fmt: skip
    assert await refusal(house) == "version-unbound"
    digest = await pushed(house, Repository(team="hello", artifact="other-name"), "7")
    assert ((await shown(house))["digest"], (await shown(house))["digest_source"]) == (digest, "tag")


@pytest.mark.parametrize("artifact", ["https://example.org/build/7", "7", "docker://", "docker://a b"])
async def test_an_artifact_that_names_no_image_is_kept_as_kio_did(house: InProcess, artifact: str) -> None:
    await house.register()
    await stated(house, artifact)
    found = await shown(house)
    assert (found["artifact"], found["digest"]) == (artifact, None)


@pytest.mark.parametrize("artifact", [None, "", 7, "x" * 601, "two\nlines"])
async def test_an_artifact_that_is_no_line_of_text_is_refused(house: InProcess, artifact: object) -> None:
    await house.register()
    with pytest.raises(WhenceError) as caught:
        await house.versions.state("greeter", "1.0", artifact, None, ADA)
    assert caught.value.code == "version-artifact"


async def test_an_image_of_another_team_that_is_named_after_the_application_is_no_version_of_it(
    house: InProcess,
) -> None:
    await house.register()
    await pushed(house, THEIRS)
    assert await house.versions.page("greeter", after="", limit=10) == []
    mine = await pushed(house, n="2")
    await pushed(house, THEIRS, "1.1", n="3")
    assert [one.version for one in await house.versions.page("greeter", after="", limit=10)] == ["1.0"]
    assert (await shown(house))["digest"] == mine


async def test_versions_and_approvals_stay_when_the_application_is_handed_over(house: InProcess) -> None:
    await house.register()
    digest = await pushed(house)
    await approve(house)
    offer = (await house.handovers.offer("greeter", "evil", "", ADA))["offer"]
    await house.handovers.close("greeter", offer, "accepted", person("eve", "evil"))
    assert [one.version for one in await house.versions.page("greeter", after="", limit=10)] == ["1.0"]
    found = await shown(house)
    assert (found["digest"], [one["user_id"] for one in found["approvals"]]) == (digest, ["ada"])
    await pushed(house, tag="1.1", n="2")
    assert [one.version for one in await house.versions.page("greeter", after="", limit=10)] == ["1.0"]


async def test_an_instance_that_states_another_digest_does_not_change_a_registered_version(house: InProcess) -> None:
    await house.register()
    digest = await pushed(house)
    await approve(house)
    await seen(house, OTHER, accountId="210987654321")
    found = await shown(house)
    assert (found["digest"], len(found["approvals"]), len(found["superseded"])) == (digest, 1, 0)
    assert [one["digest"] for one in found["digests"]] == [digest, OTHER]


async def test_versions_are_listed_by_page(house: InProcess) -> None:
    await house.register()
    for number in range(5):
        await pushed(house, tag=f"1.{number}", n=str(number))
    first = await house.versions.page("greeter", after="", limit=2)
    rest = await house.versions.page("greeter", after=first[-1].version, limit=10)
    assert [one.version for one in (*first, *rest)] == ["1.0", "1.1", "1.2", "1.3", "1.4"]


async def test_nothing_is_known_of_an_application_that_is_not_registered(house: InProcess) -> None:
    await pushed(house)
    with pytest.raises(WhenceError) as caught:
        await house.versions.read("greeter", "1.0")
    assert caught.value.code == "application-unknown"


async def test_only_the_owning_team_states_versions(house: InProcess) -> None:
    await house.register()
    with pytest.raises(WhenceError) as caught:
        await stated(house, "docker://a.example.org/b:1", by=person("eve", "evil"))
    assert caught.value.code == "team-forbidden"


# --- approvals


async def test_an_approval_is_bound_to_the_digest_and_shown_as_kio_shows_it(house: InProcess) -> None:
    await house.register()
    digest = await pushed(house)
    assert await approve(house, notes="looks good") == digest
    version = await house.versions.read("greeter", "1.0")
    assert [kio_approval(version, one) for one in version.standing] == [{
        "application_id": "greeter", "version_id": "1.0", "approval_type": "DEPLOY", "user_id": "ada",
        "approved_at": "2026-11-22T12:00:00.000Z", "notes": "looks good",
    }]  # fmt: skip
    (entry,) = await house.entries("approval")
    assert json.loads(entry.content or b"") == {
        "type": "urn:whence:approval:v1", "application_id": "greeter", "version": "1.0", "digest": digest, "approval_type": "DEPLOY",
        "person": "https://idp.example.org\tada", "user_id": "ada", "emails": ["ada@example.org"],
        "notes": "looks good", "approved_at": "2026-11-22T12:00:00.000Z",
    }  # fmt: skip
    assert await house.versions.types_of("greeter") == ["DEPLOY"]


async def test_a_new_digest_supersedes_the_approvals_which_stay_readable_with_theirs(house: InProcess) -> None:
    await house.register()
    await stated(house, f"docker://{REPOSITORY}@{DIGEST}")
    await approve(house)
    house.clock.advance(60)
    then = to_instant(house.clock())
    house.clock.advance(60)
    await stated(house, f"docker://{REPOSITORY}@{OTHER}")
    found = await shown(house)
    assert (found["digest"], found["approvals"]) == (OTHER, [])
    assert [(one["user_id"], one["digest"]) for one in found["superseded"]] == [("ada", DIGEST)]
    house.clock.advance(5)
    before = await shown(house, past=(await house.tracer.moments.of(then)).past)
    assert ([one["user_id"] for one in before["approvals"]], before["superseded"]) == (["ada"], [])
    assert await approve(house) == OTHER
    assert len((await shown(house))["superseded"]) == 1


async def test_bytes_that_come_back_are_approved_as_they_were(house: InProcess) -> None:
    await house.register()
    for digest in (DIGEST, OTHER):
        await stated(house, f"docker://{REPOSITORY}@{digest}")
        await approve(house)
    await stated(house, f"docker://{REPOSITORY}@{DIGEST}")
    found = await shown(house)
    assert ([one["digest"] for one in found["approvals"]], [one["digest"] for one in found["superseded"]]) == (
        [DIGEST], [OTHER],
    )  # fmt: skip


async def test_a_hundred_of_the_same_at_once_are_one_entry(house: InProcess) -> None:
    await house.register()
    digest = await pushed(house)
    assert await asyncio.gather(*(approve(house) for _ in range(100))) == [digest] * 100
    assert len(await house.entries("approval")) == 1


async def test_two_people_at_once_are_two_approvals(house: InProcess) -> None:
    await house.register()
    await pushed(house)
    await asyncio.gather(approve(house, ADA), approve(house, BOB), approve(house, ADA, "TEST"))
    found = await shown(house)
    assert sorted((one["user_id"], one["approval_type"]) for one in found["approvals"]) == [
        ("ada", "DEPLOY"), ("ada", "TEST"), ("bob", "DEPLOY"),
    ]  # fmt: skip


async def test_a_person_whose_name_changes_stays_one_person(house: InProcess) -> None:
    await house.register()
    await pushed(house)
    await approve(house, ADA)
    await approve(house, replace(ADA, name="ada.lovelace"))
    assert len(await house.entries("approval")) == 1


@pytest.mark.parametrize(
    ("by", "code"),
    [
        (person("robot", realm="services"), "approval-not-a-person"),
        (person("token", realm="unknown"), "approval-not-a-person"),
        (person("eve", "evil"), "approval-team"),
        (person("root", teams=None), "approval-team"),
        (person("admin", "ops", rights=frozenset({"write-all"})), "approval-team"),
        (person("nobody", teams=frozenset()), "approval-team"),
    ],
)
async def test_only_people_of_the_owning_team_approve(house: InProcess, by: Caller, code: str) -> None:
    await house.register()
    await pushed(house)
    assert await refusal(house, by) == code


@pytest.mark.parametrize("type_", ["", "deploy", "SECURITY", None, 7, ["DEPLOY"]])
async def test_a_type_that_nobody_configured_is_refused(house: InProcess, type_: Any) -> None:
    await house.register()
    await pushed(house)
    assert await refusal(house, ADA, type_) == "approval-type"


# --- replays


async def test_an_approval_that_names_an_old_digest_is_refused(house: InProcess) -> None:
    await house.register()
    for digest in (DIGEST, OTHER):
        await stated(house, f"docker://{REPOSITORY}@{digest}")
    assert await refusal(house, digest=DIGEST) == "approval-superseded"
    assert await approve(house, digest=OTHER) == OTHER


async def test_an_approval_that_names_a_digest_of_another_version_is_refused(house: InProcess) -> None:
    await house.register()
    await pushed(house)
    other = await pushed(house, tag="2.0", n="2")
    assert await refusal(house, digest=other) == "approval-other-digest"
    assert await refusal(house, digest="latest") == "approval-digest"


async def test_where_instances_state_several_digests_the_approval_must_name_its_own(house: InProcess) -> None:
    await house.register()
    await seen(house, DIGEST)
    await seen(house, OTHER, "i-0123456789abcdef1")
    assert await refusal(house) == "version-ambiguous"
    assert await approve(house, digest=DIGEST) == DIGEST


async def test_an_approval_without_a_digest_is_not_of_what_only_an_instance_states(house: InProcess) -> None:
    await house.register()
    await stated(house, "docker://hello/greeter:1.0")
    await seen(house, OTHER, accountId="210987654321")
    assert await refusal(house) == "version-unregistered"
    assert await approve(house, digest=OTHER) == OTHER
    digest = await pushed(house)
    assert await approve(house) == digest


async def test_an_unknown_version_cannot_be_approved(house: InProcess) -> None:
    await house.register()
    assert await refusal(house) == "version-unknown"


# --- the ledger


async def test_versions_and_approvals_are_derived_from_the_ledger_again(house: InProcess, tmp_path: Path) -> None:
    await house.register()
    await pushed(house)
    await seen(house, OTHER)
    await approve(house)
    await stated(house, f"docker://{REPOSITORY}@{OTHER}", "replaced")
    await approve(house, BOB, "TEST")
    before = await dumped(house.database)
    assert [len(before[one]) for one in ("version_digest", "version_revision", "approval")] == [2, 1, 2]
    assert (await checked(house, tmp_path)).findings == []
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == before


async def test_an_approval_stays_when_its_person_is_to_be_forgotten(house: InProcess) -> None:
    await house.register()
    await pushed(house)
    await approve(house)
    forgetting = Forgetting(database=house.database, ledger=house.ledger, archive=None, now=house.clock)
    (found,) = await forgetting.find(Persons(["ada@example.org"]))
    assert (found.kind, found.about, found.kept) == (
        "approval", "greeter 1.0", "who approved a version is evidence: approvals are never removed",
    )  # fmt: skip
