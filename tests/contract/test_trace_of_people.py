"""Traces back from layers, reviews and people: authors, committers, reviewers, approvers and pushers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.auditor import checked, dumped
from fakes.in_process import InProcess
from fakes.kept_blobs import image as pushed_image
from fakes.machine import COMMIT
from fakes.signing_authority import SigningAuthority
from fakes.versions import NEW, NEWER, version
from whence_aggregator.approvals.versions import ApprovalAsked
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.callers.caller import Caller
from whence_aggregator.collect.tracker_collectors import ReviewCollector
from whence_aggregator.ports import Database, ImageSaid
from whence_aggregator.projections.indexing import index_reviews
from whence_aggregator.queries.audit import CLEAR_REVIEW_NAME
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import Repository
from whence_aggregator.trace.tracer import SubjectKind, TraceSubject
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.trackers.readers import ReviewFinding
from whence_aggregator.trackers.review import Review, Vote
from whence_common.clock import to_instant
from whence_common.image_provenance import SourceClaim
from whence_common.scm_source import ScmSource

ONE, TWO = (f"i-{number:017x}" for number in range(1, 3))
GIT = "git.example.org"
PACKED, UNPACKED, SHARED = ("sha256:" + digit * 64 for digit in "123")
HEAD = "1" * 40
REVIEW = Review(
    number=77, url="", title="Greet", text="", branch="greet", base="main", head=HEAD, author="Carol",
    author_bot=False, merged_at="2026-11-22T11:00:00.000Z", merged_by="merger", merge_commit=COMMIT, how="merge_commit",
    votes=(
        Vote(by="Dave", state="approved", commit=HEAD), Vote(by="denier", state="changes_requested"),
        Vote(by="silent", state="pending"),
    ),
    asked=("asked",), committers=("helper",),
)  # fmt: skip
KNOWN = KnownTrackers(by_host={GIT: KnownTracker(shared=True, host=GIT, type="github", reviews=True)})


class Host:
    """A code host with one merged review of one commit."""

    async def reviews(self, path: str, commit_id: str) -> ReviewFinding:
        return ReviewFinding(reviews=(REVIEW,)) if commit_id == COMMIT else ReviewFinding(none="no-review")


def stated(commit_id: str, *layers: str, unpacked: str) -> ImageSaid:
    source = ScmSource(url=f"https://{GIT}/demo/greeter", revision=commit_id, author="", status="", digest="")
    claims = [SourceClaim(kind="label", source=source)]
    return ImageSaid(claims=claims, layers=list(layers), diff_ids=[unpacked])


def commit(author: str) -> bytes:
    by = f"{author} <{author}@example.org> 1763800000 +0100\n".encode()
    return b"tree " + b"4" * 40 + b"\nauthor " + by + b"committer " + by + b"\ngreet\n"


@pytest.fixture
async def keyed(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    """ONE runs an image by Ada that Pia pushed, Carol's review brought, Dave approved; Erin approved its version."""
    collectors = {"review": ReviewCollector({GIT: Host()})}
    async with InProcess(database, authority, trackers=KNOWN, tracker_collectors=collectors).running() as house:
        pushed = pushed_image(n="1")
        await house.pushes.push(
            Repository(team="hello", artifact="greeter"), "1.0", pushed, Principal(name="Pia", kind="person")
        )
        house.sources.says[pushed.digest] = stated(COMMIT, SHARED, PACKED, unpacked=UNPACKED)
        house.sources.says[NEWER] = stated(NEW, SHARED, unpacked="sha256:" + "9" * 64)
        house.sources.commits |= {COMMIT: commit("ada"), NEW: commit("bob")}
        await house.register()
        house.clock.advance(60)
        for name, number, digest, commit_id in ((ONE, "1.0", pushed.digest, COMMIT), (TWO, "1.1", NEWER, NEW)):
            await house.say(await house.machine(name), **{**version(number, digest, commit_id), "scm_source": None})
        await house.work()
        erin = Caller(
            name="Erin", teams=frozenset({"hello"}), realm="people", subject=("https://idp.example.org", "77"),
            emails=("Erin_1@example.org",),
        )  # fmt: skip
        await house.versions.approve("greeter", "1.0", ApprovalAsked(type="DEPLOY", digest=pushed.digest), erin)
        await house.work()
        yield house


async def found(house: InProcess, kind: SubjectKind, value: str, at: str | None = None) -> list[str]:
    moment = await house.tracer.moments.of(at)
    subject = TraceSubject(kind=kind, value=value)
    lineages, _ = await house.tracer.matching(subject, moment=moment, after="", limit=10)
    return [one.instance_id for one in lineages]


KEYS: list[tuple[SubjectKind, str, list[str]]] = [
    ("layer", PACKED, [ONE]), ("layer", UNPACKED, [ONE]), ("layer", SHARED, [ONE, TWO]), ("layer", "sha256:" + "0" * 64, []),
    ("review", "#77", [ONE]), ("review", "!77", [ONE]), ("review", "demo/greeter#77", [ONE]),
    ("review", "demo/other#77", []), ("review", "#7", []), ("review", "77", [ONE]),
    ("person", "ada@example.org", [ONE]), ("person", "bob@example.org", [TWO]),
    ("person", "carol", [ONE]), ("person", "merger", [ONE]), ("person", "helper", [ONE]),
    ("person", "dave", [ONE]), ("person", "denier", [ONE]),
    ("person", "silent", []), ("person", "asked", []),
    ("person", "erin", [ONE]), ("person", "erin_1@example.org", [ONE]), ("person", "erin%1@example.org", []),
    ("person", "erinx1@example.org", []), ("person", "pia", [ONE]), ("person", "eve", []),
]  # fmt: skip


async def test_layers_reviews_and_people_lead_back_to_the_instances(keyed: InProcess) -> None:
    for kind, value, instances in KEYS:
        assert await found(keyed, kind, value) == instances, (kind, value)


async def test_nothing_is_found_before_it_was_and_all_of_it_afterwards(keyed: InProcess) -> None:
    now = keyed.clock()
    keyed.clock.advance(60)
    for kind, value, instances in KEYS:
        assert await found(keyed, kind, value, "2026-11-22T11:00:00Z") == [], (kind, value)
        assert await found(keyed, kind, value, to_instant(now)) == instances, (kind, value)


async def test_an_approval_leads_to_what_ran_only_from_then_on(keyed: InProcess) -> None:
    before = to_instant(keyed.clock())
    keyed.clock.advance(60)
    frank = Caller(name="frank", teams=frozenset({"hello"}), realm="people", subject=("https://idp.example.org", "78"))
    current = (await keyed.versions.read("greeter", "1.0")).current
    assert current is not None
    await keyed.versions.approve("greeter", "1.0", ApprovalAsked(type="TEST", digest=current.digest), frank)
    assert await found(keyed, "person", "frank") == [ONE]
    assert await found(keyed, "person", "frank", before) == []


async def test_reviews_that_were_recorded_before_the_index_are_indexed_at_the_start(keyed: InProcess) -> None:
    await keyed.database.write(CLEAR_REVIEW_NAME.bind([{}]))
    assert await found(keyed, "person", "dave") == []
    assert await index_reviews(keyed.database) == 6
    assert await index_reviews(keyed.database) == 0
    assert await found(keyed, "person", "dave") == [ONE]


async def test_what_leads_back_is_derived_from_the_log_alone(keyed: InProcess, tmp_path: Path) -> None:
    before = await dumped(keyed.database)
    assert len(before["image_layer"]) == 5
    assert [row["name"] for row in before["review_name"]] == ["#77", "carol", "dave", "denier", "helper", "merger"]
    assert (await checked(keyed, tmp_path)).findings == []
    await rebuild(keyed.database, keyed.reader)
    assert await dumped(keyed.database) == before


async def test_an_image_that_an_earlier_version_read_has_no_layers_and_is_still_traced(house: InProcess) -> None:
    await house.register()
    house.sources.says[NEWER] = stated(NEW, unpacked=UNPACKED)
    house.sources.says[NEWER].diff_ids.clear()
    house.sources.commits[NEW] = commit("bob")
    await house.say(await house.machine(TWO), **{**version("1.1", NEWER, NEW), "scm_source": None})
    await house.work()
    assert await found(house, "layer", SHARED) == []
    assert await found(house, "image", NEWER) == [TWO]
