"""Two versions of an application whose commits have authors, and people who approve the newer one."""

from __future__ import annotations

from fakes.in_process import InProcess
from fakes.machine import DIGEST, Machine
from fakes.versions import NEW, NEWER, OLD, version
from whence_aggregator.approvals.people import KnownPeople
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.approvals.versions import ApprovalAsked
from whence_aggregator.callers.caller import Caller
from whence_aggregator.ports_commits import CommitObject, RangeAnswer, RangeSide

OLDER_ONE, NEWER_ONE = "i-00000000000000001", "i-00000000000000002"
MIDDLE = "d" * 40
"""A commit between those of the two versions."""
POLICY = ApprovalPolicy(teams={}, people=KnownPeople.of((), ["example.org"]))
ALL = ("SPECIFICATION", "CODE_CHANGE", "TEST", "DEPLOY")


def commit(author: str, message: str = "PAY-7: pay") -> bytes:
    line = f"{author.title()} <{author}@example.org> 1763800000 +0100"
    return f"tree {'a' * 40}\nauthor {line}\ncommitter {line}\n\n{message}".encode()


def ahead(*commits: str, count: int | None = None, **objects: CommitObject) -> RangeAnswer:
    """Return the commits that only the newer version has; `objects` are by author, in the same order."""
    named = dict(zip(commits, objects.values(), strict=False))
    return RangeAnswer(
        merge_base=OLD, behind=RangeSide(count=0, commits=()), objects=named,
        ahead=RangeSide(count=len(commits) if count is None else count, commits=commits),
    )  # fmt: skip


def between(author: str, message: str = "tidy", trailers: tuple[tuple[str, str], ...] = ()) -> RangeAnswer:
    """Return the range of the newer version: its own commit by Ada, and one of another author before it."""
    return ahead(
        NEW, MIDDLE, ada=CommitObject(content=commit("ada")),
        other=CommitObject(content=commit(author, message), trailers=trailers),
    )  # fmt: skip


async def runs(house: InProcess, instance_id: str, number: str, *, work: bool = True, **document: str) -> Machine:
    """Have an instance run greeter 1.0 or 1.1."""
    digest, head = (DIGEST, OLD) if number == "1.0" else (NEWER, NEW)
    machine = await house.machine(instance_id, **document)
    await house.say(machine, **version(number, digest, head))
    if work:
        await house.work()
    return machine


async def rollout(house: InProcess, found: RangeAnswer | None = None) -> None:
    """1.0 runs, and then 1.1: its own commit is Ada's, and one between the two is Carl's unless a test says else."""
    await house.register("greeter", team_id="hello")
    house.sources.commits |= {OLD: commit("ada"), NEW: commit("ada")}
    house.sources.ranges[OLD, NEW] = found or between("carl")
    await runs(house, OLDER_ONE, "1.0")
    house.clock.advance(60)
    await runs(house, NEWER_ONE, "1.1", pendingTime="2026-11-22T12:00:00Z")


def person(name: str) -> Caller:
    return Caller(
        name=name, teams=frozenset({"hello"}), realm="people", subject=("https://idp.example.org", name),
        emails=(f"{name}@example.org",),
    )  # fmt: skip


async def approve(house: InProcess, name: str, *types: str, digest: str = NEWER) -> None:
    for one in types:
        await house.versions.approve("greeter", "1.1", ApprovalAsked(type=one, digest=digest), person(name))


async def approved_by_two(house: InProcess) -> None:
    await approve(house, "bob", *ALL)
    await approve(house, "eve", "TEST")
