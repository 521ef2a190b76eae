"""Facts about commits over time: signatures that are verified again, ranges that are kept, old values that are read."""

from __future__ import annotations

from fakes.in_process import InProcess
from fakes.machine import COMMIT, scm
from whence_aggregator.collect.ranges import KnownCommit, KnownRange, Ranges
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import BranchAnswer
from whence_aggregator.ports_commits import CommitObject, RangeAnswer, RangeSide, SignatureAnswer
from whence_aggregator.projections.events import project_fact
from whence_aggregator.queries.work import DUE_TASKS, TASKS_OF_KIND
from whence_aggregator.trace.facts import RANGE_KIND, SIGNATURE_KIND
from whence_common.clock import parse_instant, to_instant
from whence_common.ledger_entry import event
from whence_common.scm_source import SourceRepository

PLACE = SourceRepository(host="git.example.org", path="demo/greeter")
HEAD = (
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor Ada <ada@example.org> 1763800000 +0100\n"
    b"committer Ada <ada@example.org> 1763800000 +0100\n"
)
SIGNED = HEAD + b"gpgsig -----BEGIN SSH SIGNATURE-----\n x\n -----END SSH SIGNATURE-----\n\nPAY-4711: as agreed\n"
GOOD = SignatureAnswer(state="good", form="ssh", signer="ada@example.org", key="SHA256:abc")
START = "2026-11-22T12:00:00.000Z"
A, B = "a" * 40, "b" * 40


async def running(house: InProcess, content: bytes = SIGNED) -> None:
    """Have an instance run an image that was built from the commit."""
    await house.register()
    house.sources.commits[COMMIT] = content
    await house.say(await house.machine(), scm_source=scm())
    await house.work()


async def signature(house: InProcess, *, at: str | None = None) -> dict[str, object]:
    lineage = await house.lineage(at=at) if at is not None else await house.lineage()
    value = lineage.link("commit").value
    assert value is not None
    found = value["signature"]
    assert isinstance(found, dict)
    return found


async def until_due(house: InProcess, kind: str) -> float:
    (task,) = await house.database.fetch(TASKS_OF_KIND.bind({"kind": kind}))
    seconds = (parse_instant(task["due_at"]) - house.clock()).total_seconds()
    house.clock.advance(seconds)
    return seconds / 86_400


async def test_a_good_signature_is_shown_with_its_signer_and_that_it_is_the_committer(house: InProcess) -> None:
    house.sources.signatures[COMMIT] = GOOD
    await running(house)
    assert await signature(house) == {
        "state": "good", "form": "ssh", "signer": "ada@example.org", "key": "SHA256:abc", "reason": "",
        "verified_at": "2026-11-22T12:00:00.000Z", "signer_class": "person", "signer_is_committer": True,
    }  # fmt: skip
    house.sources.signatures[COMMIT] = SignatureAnswer(state="good", form="ssh", signer="eve@example.org", key="k")
    await until_due(house, SIGNATURE_KIND)
    await house.work()
    assert (await signature(house))["signer_is_committer"] is False


async def test_a_bad_signature_contradicts_the_commit(house: InProcess) -> None:
    house.sources.signatures[COMMIT] = SignatureAnswer(state="bad", form="ssh", reason="the key is revoked")
    await running(house)
    link = (await house.lineage()).link("commit")
    assert (link.state, link.reason) == ("contradicted", "its signature is bad: the key is revoked")
    assert "git-signature" in [one.source for one in link.evidence]


async def test_a_key_that_is_revoked_later_makes_the_signature_bad_from_then_on(house: InProcess) -> None:
    house.sources.signatures[COMMIT] = GOOD
    await running(house)
    before = to_instant(house.clock())
    house.sources.signatures[COMMIT] = SignatureAnswer(state="bad", form="ssh", reason="the key is revoked")
    assert await until_due(house, SIGNATURE_KIND) == 1.0
    await house.work()
    assert ((await signature(house))["state"], (await signature(house, at=before))["state"]) == ("bad", "good")


async def test_a_key_that_expires_later_leaves_a_signature_good_that_was_good_before(house: InProcess) -> None:
    house.sources.signatures[COMMIT] = GOOD
    await running(house)
    house.sources.signatures[COMMIT] = SignatureAnswer(
        state="unknown", form="ssh", key="SHA256:abc", reason="the key is no longer valid", expired=True
    )
    pauses = []
    for _ in range(5):
        pauses.append(await until_due(house, SIGNATURE_KIND))
        await house.work()
    assert pauses == [1.0, 1.0, 2.0, 4.0, 7.0]
    assert (await signature(house))["state"] == "good"


async def test_a_key_that_has_expired_before_the_first_look_is_unknown(house: InProcess) -> None:
    house.sources.signatures[COMMIT] = SignatureAnswer(
        state="unknown", form="ssh", key="SHA256:abc", reason="the key is no longer valid", expired=True
    )
    await running(house)
    found = await signature(house)
    assert (found["state"], found["reason"]) == ("unknown", "the key is no longer valid")


async def test_a_commit_without_a_signature_is_never_asked_about_again(house: InProcess) -> None:
    await running(house, HEAD + b"\nPAY-1\n")
    assert await signature(house) == {"state": "none", "form": "none"}
    assert await house.database.fetch(TASKS_OF_KIND.bind({"kind": SIGNATURE_KIND})) == []


async def test_a_commit_that_was_recorded_with_version_1_is_read_as_before(house: InProcess) -> None:
    value = {
        "repository": str(PLACE), "commit": COMMIT, "author": "Ada <ada@example.org>", "subject": "PAY-1: x",
        "committed_at": "2025-11-22T08:26:40.000Z", "message": "PAY-1: x\n",
    }  # fmt: skip
    branch = {"branch": "main", "head": A, "reachable": True}
    async with house.ledger.writing() as writing:
        for kind, content in (("commit", value), ("commit-branch", branch)):
            stated = {
                "kind": kind, "subject": f"{PLACE}@{COMMIT}", "observed_at": "2026-11-22T12:00:00.000Z",
                "outcome": "found", "value": content, "reason": "",
            }  # fmt: skip
            ((index, _),) = await writing.append([NewEntry(kind="fact", content=event("fact", stated))])
            await project_fact(writing.transaction, index, stated)
    await house.register()
    await house.say(await house.machine(), scm_source=scm())
    link = (await house.lineage()).link("commit")
    assert link.value is not None
    assert (link.value["author"], link.value["branch"], "signature" in link.value) == (
        "Ada <ada@example.org>", {"branch": "main", "head": A, "reachable": True}, False,
    )  # fmt: skip


async def test_a_range_is_collected_once_and_kept_with_its_commits(house: InProcess) -> None:
    ranges = Ranges(database=house.database, now=house.clock)
    objects = {f"{one:040x}": CommitObject(content=HEAD + b"\nPAY-%d: part\n" % one) for one in range(250)}
    large = "d" * 40
    ahead = RangeSide(count=251, commits=(*objects, large))
    behind = RangeSide(count=0, commits=())
    house.sources.ranges[A, B] = RangeAnswer(merge_base=A, ahead=ahead, behind=behind, objects=objects)
    assert await ranges.want(PLACE, A, B) == KnownRange(
        base=A, head=B, reason=f"not collected yet; next attempt at {START}", due_at=START
    )
    due = await house.database.fetch(DUE_TASKS.bind({"now": to_instant(house.clock()), "limit": 10}))
    assert [(one["kind"], one["lane"]) for one in due] == [(RANGE_KIND, "ranges")]
    await house.work()
    found = await ranges.want(PLACE, A, B)
    assert found.ahead is not None
    assert found.behind is not None
    assert (found.merge_base, found.ahead.count, found.behind.count) == (A, 251, 0)
    assert [one.commit for one in found.ahead.commits] == [*objects, large]
    assert [one.subject for one in found.ahead.commits[:2]] == ["PAY-0: part", "PAY-1: part"]
    assert found.ahead.commits[250] == KnownCommit(commit=large)
    part = await ranges.read(PLACE, A, B, commits_max=2)
    assert part.ahead is not None
    assert (part.ahead.count, [one.commit for one in part.ahead.commits]) == (251, [f"{0:040x}", f"{1:040x}"])
    size = await house.reader.size()
    house.sources.ranges.clear()
    await ranges.want(PLACE, A, B)
    await house.work()
    assert await house.reader.size() == size
    assert await house.database.fetch(TASKS_OF_KIND.bind({"kind": "commit-branch"})) == []


async def test_commits_of_a_range_that_are_known_are_not_recorded_twice(house: InProcess) -> None:
    await running(house)
    side = RangeSide(count=1, commits=(COMMIT,))
    objects = {COMMIT: CommitObject(content=SIGNED)}
    house.sources.ranges[A, COMMIT] = RangeAnswer(
        merge_base=A, ahead=side, behind=RangeSide(count=0, commits=()), objects=objects
    )
    await Ranges(database=house.database, now=house.clock).want(PLACE, A, COMMIT)
    await house.work()
    facts = [one for one in await house.entries("fact") if b'"kind":"commit",' in (one.content or b"")]
    assert len(facts) == 1


async def test_a_commit_that_a_range_recorded_first_is_still_looked_for_on_branches_and_verified(
    house: InProcess,
) -> None:
    side, none = RangeSide(count=1, commits=(COMMIT,)), RangeSide(count=0, commits=())
    house.sources.ranges[A, B] = RangeAnswer(
        merge_base=A, ahead=side, behind=none, objects={COMMIT: CommitObject(content=SIGNED)}
    )
    await Ranges(database=house.database, now=house.clock).want(PLACE, A, B)
    await house.work()
    house.sources.branches[COMMIT] = BranchAnswer(branch="main", commit_id="f" * 40, reachable=False)
    house.sources.signatures[COMMIT] = SignatureAnswer(state="bad", form="ssh", reason="the key is revoked")
    await running(house)
    value = (await house.lineage()).link("commit").value
    assert value is not None
    assert (value["branch"]["reachable"], value["signature"]["state"]) == (False, "bad")


async def test_further_ranges_are_not_put_into_a_full_queue(house: InProcess) -> None:
    ranges = Ranges(database=house.database, now=house.clock, waiting_max=2)
    heads = [f"{number:040x}" for number in range(3)]
    assert [(await ranges.want(PLACE, A, one)).reason for one in heads] == [
        f"not collected yet; next attempt at {START}", f"not collected yet; next attempt at {START}",
        "not collected yet; 2 ranges wait, so ask again later",
    ]  # fmt: skip
    tasks = await house.database.fetch(TASKS_OF_KIND.bind({"kind": RANGE_KIND}))
    assert [one["subject"] for one in tasks] == [f"{PLACE}@{A}..{one}" for one in heads[:2]]
    await house.work()
    assert (await ranges.want(PLACE, A, heads[2])).reason == f"not collected yet; next attempt at {START}"


async def test_a_range_that_is_not_known_yet_is_asked_again(house: InProcess) -> None:
    ranges = Ranges(database=house.database, now=house.clock)
    house.sources.ranges[A, B] = RangeAnswer(missing=(B,), reason=f"the server does not have {B}")
    await ranges.want(PLACE, A, B)
    await house.work()
    found = await ranges.want(PLACE, A, B)
    assert (found.ahead, found.reason, found.missing) == (None, f"the server does not have {B}", (B,))
    house.sources.ranges[A, B] = RangeAnswer(
        ahead=RangeSide(count=0, commits=()), behind=RangeSide(count=0, commits=())
    )
    await until_due(house, RANGE_KIND)
    await house.work()
    known = await ranges.want(PLACE, A, B)
    assert known.ahead is not None
