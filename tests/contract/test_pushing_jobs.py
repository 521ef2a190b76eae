"""What a CI job's push says of an image's source: its own token is a source beside the image's word."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from fakes.auditor import checked, dumped
from fakes.in_process import InProcess
from fakes.kept_blobs import image as pushed_image
from fakes.machine import scm
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.jobs import Job
from whence_aggregator.ports import ImageSaid
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import Repository
from whence_aggregator.trace.lineage import Link
from whence_common.digest import sha256_digest
from whence_common.image_provenance import ClaimKind, SourceClaim
from whence_common.scm_source import ScmSource
from whence_common.statement import ImageFacts, ScmSourceFacts

HOST, ADA = "pierone.example.org", Principal(name="ada", kind="person")
APP = Repository(team="alpha", artifact="app")
VICTIM = "i-00000000000000001"
NOTHING = ScmSourceFacts(status="missing", document=None, reason="the image has no scm-source.json")


BUILT = "a" * 40
URL = "https://github.com/hello/greeter"
FILE = msgspec.json.encode({"url": URL, "revision": BUILT, "author": "ada", "status": ""})


def job(project: str = "hello/greeter", commit: str = BUILT) -> Principal:
    made = Job(
        provider="github", issuer="https://ci.example.org", project_id="1001", project=project,
        source_url=f"https://github.com/{project}", ref="refs/heads/main", commit=commit, run="4711", attempt="1",
    )  # fmt: skip
    caller = Caller(name=made.name, teams=frozenset({"alpha"}), subject=("https://ci.example.org", "1001"), job=made)
    return Principal(name=made.name, kind="job", caller=caller)


def stated(kind: ClaimKind, commit: str = BUILT) -> SourceClaim:
    by = "https://builder.example.org" if kind == "provenance" else ""
    return SourceClaim(kind=kind, by=by, source=ScmSource(url=URL, revision=commit, author="", status="", digest=""))


async def pushed_and_running(
    house: InProcess, by: Principal, *, says: str | None = BUILT, read: ImageSaid | None = None, unread: bool = False
) -> Link:
    """Push an image that states its commit, run it and read it in the registry; return the link `source`.

    `read`: what the registry has about the image, unless it is what the image states. `unread`: nothing was read yet.
    """
    pushed = pushed_image(n="1")
    await house.pushes.push(APP, "1.0", pushed, by)
    source = scm(url=URL, revision=says, digest=sha256_digest(FILE)) if says is not None else NOTHING
    if not unread:
        house.sources.says[pushed.digest] = read or ImageSaid(scm_source=FILE if says is not None else None)
    image = ImageFacts(source=f"{HOST}/{APP}:1.0", repository=f"{HOST}/{APP}", digest=pushed.digest)
    await house.say(await house.machine(VICTIM), image=image, containers=[], scm_source=source)
    await house.work()
    return (await house.lineage(VICTIM)).link("source")


async def test_the_job_that_pushed_confirms_what_the_image_says(house: InProcess) -> None:
    link = await pushed_and_running(house, job())
    assert (link.state, link.value["confirmed_by"]) == ("confirmed", "github:hello/greeter")  # type: ignore[index]  # it is there
    assert [one.source for one in link.evidence] == ["agent", "registry", "push"]
    (entry,) = await house.entries("push")
    stated = json.loads(entry.content or b"")["job"]
    names = ("source_url", "ref", "commit", "run")
    assert [stated[one] for one in names] == ["https://github.com/hello/greeter", "refs/heads/main", BUILT, "4711"]
    assert entry.ledger_index == link.evidence[2].ledger_index


async def test_a_job_confirms_nothing_while_the_registry_was_not_read(house: InProcess) -> None:
    link = await pushed_and_running(house, job(), unread=True)
    assert (link.state, link.reason) == (
        "asserted", "it is not known whether a trusted builder signed a provenance: the registry is away; "
        "next attempt at 2026-11-22T12:00:10.000Z",
    )  # fmt: skip
    assert link.value is not None
    assert "confirmed_by" not in link.value


async def test_a_job_confirms_nothing_while_a_provenance_cannot_be_read(house: InProcess) -> None:
    unread = ImageSaid(scm_source=FILE, unknown=["a signature was cut off"])
    link = await pushed_and_running(house, job(), read=unread)
    assert link.state == "asserted"
    assert "it is not known whether a trusted builder signed a provenance" in (link.reason or "")


async def test_a_trusted_builder_who_states_another_commit_contradicts_the_job(house: InProcess) -> None:
    link = await pushed_and_running(house, job(), read=ImageSaid(claims=[stated("provenance", "b" * 40)]))
    assert link.state == "contradicted"


async def test_a_job_of_another_repository_contradicts_it(house: InProcess) -> None:
    link = await pushed_and_running(house, job("evil/greeter"))
    assert link.state == "contradicted"


async def test_a_job_for_another_commit_contradicts_it(house: InProcess) -> None:
    assert (await pushed_and_running(house, job(commit="b" * 40))).state == "contradicted"


async def test_what_a_job_alone_says_is_asserted(house: InProcess) -> None:
    link = await pushed_and_running(house, job(), says=None)
    assert (link.state, link.value["said_by"], link.value["job"]) == ("asserted", "push", "github:hello/greeter")  # type: ignore[index]  # it is there


async def test_a_person_who_pushes_says_nothing_of_the_source(house: InProcess) -> None:
    link = await pushed_and_running(house, ADA)
    assert (link.state, [one.source for one in link.evidence]) == ("asserted", ["agent", "registry"])


async def test_what_a_job_pushed_is_derived_from_the_ledger_alone(house: InProcess, tmp_path: Path) -> None:
    await pushed_and_running(house, job())
    tables = await dumped(house.database)
    assert [row["job"] for row in tables["image_job"]] == ["github:hello/greeter"]
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == tables
    assert (await checked(house, tmp_path)).findings == []
