"""The link `approval`: whether the digest that runs was approved, by whom, and as of when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, REPOSITORY, scm
from fakes.signing_authority import SigningAuthority
from whence_aggregator.approvals.people import KnownPeople
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.approvals.versions import ApprovalAsked
from whence_aggregator.callers.caller import Caller
from whence_aggregator.ports import Database
from whence_aggregator.trace.lineage import Link
from whence_common.clock import to_instant
from whence_common.statement import ApplicationFacts, ImageFacts

OTHER, INDEX = "sha256:" + "e" * 64, "sha256:" + "f" * 64
POLICY = ApprovalPolicy(teams={}, people=KnownPeople.of((), ["example.org"]))
ALL = ("SPECIFICATION", "CODE_CHANGE", "TEST", "DEPLOY")
INSTANCE = "i-0123456789abcdef0"


@pytest.fixture
async def approving(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority, approvals=POLICY).running() as house:
        yield house


def commit(author: str = "Ada <ada@example.org>") -> bytes:
    return (
        f"tree {'a' * 40}\nauthor {author} 1700000000 +0000\ncommitter {author} 1700000000 +0000\n\nPAY-7: pay".encode()
    )


async def running(house: InProcess, digest: str = DIGEST, *, author: str = "Ada <ada@example.org>",
                  index: str | None = None) -> None:  # fmt: skip
    """Have greeter 1.0 run, built from a commit of an author."""
    await house.register()
    house.sources.commits[COMMIT] = commit(author)
    source = scm(url="https://git.example.org/demo/greeter", revision=COMMIT)
    image = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=digest, index_digest=index)
    await house.say(
        await house.machine(), image=image, application=ApplicationFacts(id="greeter", version="1.0"), containers=[],
        scm_source=source,
    )  # fmt: skip
    await house.work()


async def approve(house: InProcess, name: str, *types: str) -> None:
    by = Caller(
        name=name, teams=frozenset({"hello"}), realm="people", subject=("https://idp.example.org", name),
        emails=(f"{name}@example.org",),
    )  # fmt: skip
    current = (await house.versions.read("greeter", "1.0")).current
    for one in types:
        asked = ApprovalAsked(type=one, digest=current.digest if current is not None else None)
        await house.versions.approve("greeter", "1.0", asked, by)


async def state(house: InProcess, digest: str) -> None:
    root = Caller(name="root", teams=None)
    await house.versions.state("greeter", "1.0", f"docker://{REPOSITORY}@{digest}", None, root)


async def link(house: InProcess, at: str | None = None) -> Link:
    return (await house.lineage(INSTANCE, at)).link("approval")


def value(found: Link) -> dict[str, Any]:
    assert found.value is not None
    return found.value


async def test_without_the_setting_the_link_is_unknown_and_completes_nothing_less(house: InProcess) -> None:
    await running(house)
    await approve(house, "bob", *ALL)
    lineage = await house.lineage()
    found = lineage.link("approval")
    assert (found.state, found.reason) == ("unknown", "not configured: the settings have no `approvals`")
    assert "approval" not in lineage.required


async def test_a_version_that_nobody_approved_names_what_is_missing(approving: InProcess) -> None:
    await running(approving)
    found = await link(approving)
    assert (found.state, found.reason) == (
        "missing", "no approval of SPECIFICATION, CODE_CHANGE, TEST, DEPLOY; "
        "0 people approved CODE_CHANGE, TEST, DEPLOY, and 2 must",
    )  # fmt: skip
    assert value(found)["missing"] == list(ALL)


async def test_the_approvals_of_two_people_are_asserted_with_their_entries(approving: InProcess) -> None:
    await running(approving)
    await approve(approving, "bob", *ALL)
    await approve(approving, "eve", "TEST")
    found = await link(approving)
    assert (found.state, found.reason, value(found)["people"]) == ("asserted", None, 2)
    assert [one.source for one in found.evidence] == [
        "agent", "application-registry", "approval:SPECIFICATION", "approval:CODE_CHANGE", "approval:TEST",
        "approval:DEPLOY", "approval:TEST",
    ]  # fmt: skip
    entries = {one.ledger_index for one in await approving.entries("approval")}
    assert {one.ledger_index for one in found.evidence[2:]} == entries


async def test_the_author_of_the_running_commit_does_not_approve_its_code(approving: InProcess) -> None:
    await running(approving, author="Bob <bob@example.org>")
    await approve(approving, "bob", *ALL)
    await approve(approving, "eve", "TEST")
    found = await link(approving)
    assert (found.state, value(found)["missing"]) == ("missing", ["CODE_CHANGE"])
    assert "bob approved CODE_CHANGE: an author of a commit of the version does not count" in str(found.reason)


async def test_an_author_that_nobody_knows_leaves_the_code_unknown(approving: InProcess) -> None:
    await running(approving, author="x <penguin@home.example>")
    await approve(approving, "bob", *ALL)
    await approve(approving, "eve", "TEST")
    assert (await link(approving)).state == "unknown"


async def test_approvals_of_another_digest_do_not_count_for_what_runs(approving: InProcess) -> None:
    await running(approving)
    await approve(approving, "bob", *ALL)
    await approve(approving, "eve", "TEST")
    await state(approving, OTHER)
    found = await link(approving)
    assert (found.state, found.reason) == (
        "contradicted", f"version 1.0 is {OTHER} by its registration, which is not what runs",
    )  # fmt: skip
    assert [one["counts"] for one in value(found)["approvals"]] == ["yes"] * 5


async def test_an_old_digest_that_was_registered_keeps_its_own_approvals(approving: InProcess) -> None:
    await running(approving)
    await state(approving, DIGEST)
    await approve(approving, "bob", *ALL)
    await approve(approving, "eve", "TEST")
    await state(approving, OTHER)
    assert (await link(approving)).state == "asserted"


async def test_a_new_digest_is_not_approved_by_the_approvals_of_the_old_one(approving: InProcess) -> None:
    await running(approving, OTHER)
    await state(approving, DIGEST)
    await approve(approving, "bob", *ALL)
    await approve(approving, "eve", "TEST")
    await state(approving, OTHER)
    found = await link(approving)
    assert (found.state, len(value(found)["approvals_of_other_digests"])) == ("missing", 5)
    assert str(found.reason).endswith(f"other images of this version were approved: {DIGEST}")


async def test_an_approved_index_approves_the_image_that_was_chosen_from_it(approving: InProcess) -> None:
    await running(approving, index=INDEX)
    await state(approving, INDEX)
    await approve(approving, "bob", *ALL)
    await approve(approving, "eve", "TEST")
    assert (await link(approving)).state == "asserted"


async def test_criticality_1_needs_one_person(approving: InProcess) -> None:
    await running(approving)
    await approving.register(criticality_level=1)
    await approve(approving, "bob", *ALL)
    found = await link(approving)
    assert (found.state, value(found)["required_approvers"]) == ("asserted", 1)


async def test_the_link_is_as_of_the_time_asked_about(approving: InProcess) -> None:
    await running(approving)
    approving.clock.advance(60)
    then = to_instant(approving.clock())
    approving.clock.advance(60)
    await approve(approving, "bob", *ALL)
    await approve(approving, "eve", "TEST")
    approving.clock.advance(5)
    assert ((await link(approving, then)).state, (await link(approving)).state) == ("missing", "asserted")


async def test_an_application_that_is_not_registered_has_no_approvals(approving: InProcess) -> None:
    await approving.say(await approving.machine())
    found = await link(approving)
    assert (found.state, found.reason) == ("missing", "the application is not in the application registry")
