"""Whether the default branch reaches a commit, over time: asked, recorded, judged, and asked again."""

from __future__ import annotations

import json

import pytest

from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, scm
from whence_aggregator.collect.branches import BranchFinding
from whence_aggregator.ports import BranchAnswer, ImageSaid, ProtectedNames, SourceUnavailable
from whence_aggregator.queries.compliance import VERDICTS_OF
from whence_aggregator.queries.query import instance_ids
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.trackers.protection import ProtectedRefs
from whence_common.clock import parse_instant, to_instant
from whence_common.digest import sha256_digest
from whence_common.image_provenance import SourceClaim
from whence_common.scm_source import ScmSource

URL = "https://git.example.org/demo/greeter.git"
SCM = json.dumps({"url": f"git:{URL}", "revision": COMMIT, "author": "ada", "status": ""}).encode()
HEAD, LATER = "a" * 40, "b" * 40
MAIN = ("heads/main",)
UNMERGED = BranchAnswer(branch="main", commit_id=HEAD, reachable=False)
OBJECT = (
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor Linus <linus@example.org> 1763800000 +0100\n"
    b"committer Linus <linus@example.org> 1763800000 +0100\n\nPAY-4711: as agreed\n"
)


async def signed(
    house: InProcess, *, scm_url: str = "git@git.example.org:demo/greeter.git", active: bool = True
) -> None:
    """Have an image run that a trusted builder says is built from the commit."""
    await house.register(scm_url=scm_url, active=active)
    claim = SourceClaim(
        kind="provenance", by="b", source=ScmSource(url=URL, revision=COMMIT, author="", status="", digest="")
    )
    house.sources.says[DIGEST] = ImageSaid(claims=[claim])
    house.sources.commits[COMMIT] = OBJECT
    await house.say(await house.machine(), scm_source=None)


async def verdict(house: InProcess, rule: str) -> tuple[str, str]:
    names = instance_ids(["i-0123456789abcdef0"])
    rows = {row["rule"]: row for row in await house.database.fetch(VERDICTS_OF.bind(names))}
    return (rows[rule]["verdict"], rows[rule]["reason"]) if rule in rows else ("pass", "")


async def until_due(house: InProcess) -> float:
    """Wait until the branch is asked again; return how long that was."""
    (task,) = await house.database.fetch(TASKS_OF_KIND.bind({"kind": "commit-branch"}))
    seconds = (parse_instant(task["due_at"]) - house.clock()).total_seconds()
    house.clock.advance(seconds)
    return seconds


async def test_a_forged_commit_on_an_unmerged_branch_is_asserted_never_complete_and_fails_its_rule(
    house: InProcess,
) -> None:
    await house.register()
    house.sources.commits[COMMIT], house.sources.branches[COMMIT] = OBJECT, UNMERGED
    house.sources.images[DIGEST] = SCM
    await house.say(await house.machine(), scm_source=scm(digest=sha256_digest(SCM)))
    await house.work()
    lineage = await house.lineage()
    link = lineage.link("commit")
    assert (link.state, lineage.complete) == ("asserted", False)
    assert link.reason == (
        "no provenance signed by a trusted builder; "
        "the default branch main did not reach it at 2026-11-22T12:00:00.000Z"
    )
    assert link.value is not None
    assert link.value["branch"] == {"branch": "main", "head": HEAD, "reachable": False}
    assert await verdict(house, "commit-unmerged") == (
        "fail", "the default branch main did not reach it at 2026-11-22T12:00:00.000Z",
    )  # fmt: skip


async def test_a_commit_that_is_merged_later_is_confirmed_from_then_on_and_not_before(house: InProcess) -> None:
    house.sources.branches[COMMIT] = UNMERGED
    await signed(house)
    await house.work()
    before = to_instant(house.clock())
    assert await house.state("commit") == "asserted"
    house.sources.branches[COMMIT] = BranchAnswer(branch="main", commit_id=LATER, reachable=True)
    assert await until_due(house) == 300.0
    await house.work()
    assert (await house.state("commit"), await verdict(house, "commit-unmerged")) == (
        "confirmed", ("pass", "the default branch reaches the commit"),
    )  # fmt: skip
    house.clock.advance(60)
    then = await house.lineage(at=before)
    assert (then.link("commit").state, then.link("commit").lacking) == ("asserted", True)


async def test_the_branch_is_asked_ever_more_seldom_and_a_moving_head_alone_is_nothing_new(house: InProcess) -> None:
    await signed(house)
    await house.work()
    pauses = []
    for number in range(7):
        house.sources.branches[COMMIT] = BranchAnswer(
            branch="main", commit_id=f"{number:040x}", reachable=True, reached_by=MAIN
        )
        pauses.append(await until_due(house) / 86_400)
        await house.work()
    assert pauses == [1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert len([one for one in await house.entries("fact") if b'"commit-branch"' in (one.content or b"")]) == 1
    house.sources.branches[COMMIT] = UNMERGED  # the history was forced
    before = to_instant(house.clock())
    await until_due(house)
    await house.work()
    link = (await house.lineage()).link("commit")
    assert (link.state, (await verdict(house, "commit-unmerged"))[0]) == ("contradicted", "fail")
    assert link.reason == (
        "the history was rewritten: main reached it at 2026-11-22T12:00:00.000Z and did not at 2027-02-22T12:00:00.000Z"
    )
    assert link.value is not None
    assert link.value["branch"]["gone"]["head"] == "f" * 40
    assert (await house.lineage(at=before)).link("commit").state == "confirmed"
    house.sources.branches[COMMIT] = BranchAnswer(branch="main", commit_id=LATER, reachable=True, reached_by=MAIN)
    await until_due(house)
    await house.work()
    assert await house.state("commit") == "confirmed"


async def test_a_branch_that_git_cannot_read_is_unknown_and_fails_no_rule(house: InProcess) -> None:
    detached = BranchAnswer(reason="the repository has no default branch: its HEAD is detached")
    cut = BranchAnswer(branch="main", commit_id=HEAD, reason="the server's own history of main is cut off")
    await signed(house)
    for answer in (SourceUnavailable("git-refused", "away"), detached, cut):
        house.sources.branches[COMMIT] = answer
        await house.work()
        reason = "away" if isinstance(answer, SourceUnavailable) else answer.reason
        link = (await house.lineage()).link("commit")
        assert (link.state, link.lacking, reason in (link.reason or "")) == ("asserted", True, True)
        outcome, said = await verdict(house, "commit-unmerged")
        assert (outcome, reason in said) == ("unknown", True)
        await until_due(house)


class Protector:
    """A code host that protects what a test says; an exception is raised."""

    def __init__(self, *branches: str) -> None:
        self.answer: ProtectedRefs | SourceUnavailable = ProtectedRefs(branches=branches)

    async def protected(self, path: str) -> ProtectedRefs:
        if isinstance(self.answer, SourceUnavailable):
            raise self.answer
        return self.answer


AWAY = SourceUnavailable("outside-status", "git.example.org answers with HTTP 502")


async def branch_facts(house: InProcess) -> int:
    return len([one for one in await house.entries("fact") if b'"commit-branch"' in (one.content or b"")])


async def test_the_fact_states_what_is_protected_by_whom_and_when_that_was_read(house: InProcess) -> None:
    host = house.protectors["git.example.org"] = Protector("main", "release/*")
    host.answer = ProtectedRefs(
        branches=("main", "release/*"), tags=("v*",), reason="1 of its protected names are not read"
    )
    await signed(house)
    await house.work()
    assert house.sources.asked_for == [ProtectedNames(branches=("main", "release/*"), tags=("v*",))]
    link = (await house.lineage()).link("commit")
    assert link.value is not None
    assert link.value["branch"]["protection"] == [{
        "by": "git.example.org", "branches": ["main", "release/*"], "tags": ["v*"],
        "read_at": "2026-11-22T12:00:00.000Z", "reason": "1 of its protected names are not read", "unread": False,
    }]  # fmt: skip


async def test_a_protection_that_changes_is_a_new_fact_and_one_that_is_read_again_is_none(house: InProcess) -> None:
    host = house.protectors["git.example.org"] = Protector("main")
    await signed(house)
    await house.work()
    before = to_instant(house.clock())
    await until_due(house)
    await house.work()
    assert await branch_facts(house) == 1
    host.answer = AWAY
    await until_due(house)
    await house.work()
    assert await branch_facts(house) == 1
    host.answer = ProtectedRefs()
    await until_due(house)
    await house.work()
    assert await branch_facts(house) == 2
    now, then = [(await house.lineage(at=at)).link("commit").value for at in (None, before)]
    assert now is not None
    assert then is not None
    assert (now["branch"]["protection"][0]["branches"], then["branch"]["protection"][0]["branches"]) == ([], ["main"])
    assert then["branch"]["protection"][0]["read_at"] == "2026-11-22T12:00:00.000Z"


async def test_a_host_that_does_not_answer_leaves_a_denial_open_and_a_reached_commit_reached(house: InProcess) -> None:
    host = house.protectors["git.example.org"] = Protector()
    host.answer = AWAY
    house.sources.branches[COMMIT] = UNMERGED
    await signed(house)
    await house.work()
    link = (await house.lineage()).link("commit")
    assert link.value is not None
    assert (link.state, link.value["branch"]["reachable"]) == ("asserted", None)
    assert link.value["branch"]["protection"][0]["unread"] is True
    assert (link.reason or "").endswith(
        "it is not known whether the default branch reaches it: main does not reach it, and which other branches are "
        "protected is not known: git.example.org answers with HTTP 502"
    )
    assert (await verdict(house, "commit-unmerged"))[0] == "unknown"
    house.sources.branches[COMMIT] = BranchAnswer(branch="main", commit_id=LATER, reachable=True, reached_by=MAIN)
    await until_due(house)
    await house.work()
    assert await house.state("commit") == "confirmed"


@pytest.mark.parametrize(("protected", "state"), [(("release/*",), "contradicted"), ((), "asserted")])
async def test_a_protected_branch_that_lost_the_commit_was_rewritten_and_one_that_lost_its_protection_was_not(
    house: InProcess, protected: tuple[str, ...], state: str
) -> None:
    host = house.protectors["git.example.org"] = Protector("release/*")
    house.sources.branches[COMMIT] = BranchAnswer(
        branch="main", commit_id=HEAD, reachable=True, reached_by=("heads/release/1",)
    )
    await signed(house)
    await house.work()
    assert await house.state("commit") == "confirmed"
    host.answer, house.sources.branches[COMMIT] = ProtectedRefs(branches=protected), UNMERGED
    await until_due(house)
    await house.work()
    link = (await house.lineage()).link("commit")
    assert (link.state, "the history was rewritten" in (link.reason or "")) == (state, bool(protected))


async def test_a_fact_of_the_version_before_is_read_and_the_next_one_states_the_protection(house: InProcess) -> None:
    old = {"version": 2, "branch": "main", "head": HEAD, "reachable": True, "reached_by": ["heads/main"], "gone": None,
           "moved_to": ""}  # fmt: skip
    mine: dict[str, object] = {**old, "version": 3, "protection": [
        {"by": "settings", "branches": ["x"], "tags": [], "read_at": "", "reason": "", "unread": False}
    ]}  # fmt: skip
    finding = BranchFinding(outcome="found", value={**mine, "protection": []})
    assert finding.after(old, "2026-11-22T12:00:00.000Z").same_as("found", "", old)
    assert not BranchFinding(outcome="found", value=mine).same_as("found", "", old)
    forced = BranchFinding(outcome="found", value={**mine, "reachable": False, "reached_by": [], "protection": []})
    assert forced.after(old, "2026-11-22T12:00:00.000Z").value["gone"] == {
        "reached_at": "2026-11-22T12:00:00.000Z", "head": HEAD, "reached_by": ["heads/main"],
    }  # fmt: skip


async def test_another_registered_repository_contradicts_even_a_trusted_builder(house: InProcess) -> None:
    await signed(house, scm_url="https://git.example.org/demo/other")
    await house.work()
    lineage = await house.lineage()
    source = lineage.link("source")
    assert (source.state, lineage.link("commit").state) == ("contradicted", "asserted")
    assert (source.reason or "").endswith(
        "the application is registered with the repository https://git.example.org/demo/other"
    )
    assert "application-registry" in [one.source for one in source.evidence]


async def test_an_application_that_is_not_active_fails_its_rule_and_one_that_is_unknown_passes_nothing(
    house: InProcess,
) -> None:
    await signed(house, active=False)
    await house.work()
    link = (await house.lineage()).link("application")
    assert (link.state, link.reason) == ("confirmed", "it is not active in the application registry")
    assert await verdict(house, "application-inactive") == ("fail", "it is not active in the application registry")
    await house.register(scm_url=URL)
    await house.work()
    assert (await verdict(house, "application-inactive"))[0] == "pass"
