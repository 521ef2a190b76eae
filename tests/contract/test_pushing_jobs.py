"""What a CI job's push says of an image's source: its own token is a source beside the image's word."""

from __future__ import annotations

import json
from pathlib import Path

from fakes.auditor import checked, dumped
from fakes.in_process import InProcess
from fakes.kept_blobs import image as pushed_image
from fakes.machine import scm
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.jobs import Job
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import Repository
from whence_aggregator.trace.lineage import Link
from whence_common.statement import ImageFacts, ScmSourceFacts

HOST, ADA = "pierone.example.org", Principal(name="ada", kind="person")
APP = Repository(team="alpha", artifact="app")
VICTIM = "i-00000000000000001"
NOTHING = ScmSourceFacts(status="missing", document=None, reason="the image has no scm-source.json")


BUILT = "a" * 40


def job(project: str = "hello/greeter", commit: str = BUILT) -> Principal:
    made = Job(
        provider="github", issuer="https://ci.example.org", project_id="1001", project=project,
        source_url=f"https://github.com/{project}", ref="refs/heads/main", commit=commit, run="4711", attempt="1",
    )  # fmt: skip
    caller = Caller(name=made.name, teams=frozenset({"alpha"}), subject=("https://ci.example.org", "1001"), job=made)
    return Principal(name=made.name, kind="job", caller=caller)


async def pushed_and_running(house: InProcess, by: Principal, *, says: str | None = BUILT) -> Link:
    """Have an image pushed that says its commit, and run; give the link `source`."""
    pushed = pushed_image(n="1")
    await house.pushes.push(APP, "1.0", pushed, by)
    source = scm(url="https://github.com/hello/greeter", revision=says) if says is not None else NOTHING
    image = ImageFacts(source=f"{HOST}/{APP}:1.0", repository=f"{HOST}/{APP}", digest=pushed.digest)
    await house.say(await house.machine(VICTIM), image=image, containers=[], scm_source=source)
    return (await house.lineage(VICTIM)).link("source")


async def test_the_job_that_pushed_confirms_what_the_image_says(house: InProcess) -> None:
    link = await pushed_and_running(house, job())
    assert (link.state, link.value["confirmed_by"]) == ("confirmed", "github:hello/greeter")  # type: ignore[index]  # it is there
    assert [one.source for one in link.evidence] == ["agent", "push"]
    (entry,) = await house.entries("push")
    stated = json.loads(entry.content or b"")["job"]
    names = ("source_url", "ref", "commit", "run")
    assert [stated[one] for one in names] == ["https://github.com/hello/greeter", "refs/heads/main", BUILT, "4711"]
    assert entry.ledger_index == link.evidence[1].ledger_index


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
    assert (link.state, [one.source for one in link.evidence]) == ("asserted", ["agent"])


async def test_what_a_job_pushed_is_derived_from_the_ledger_alone(house: InProcess, tmp_path: Path) -> None:
    await pushed_and_running(house, job())
    tables = await dumped(house.database)
    assert [row["job"] for row in tables["image_job"]] == ["github:hello/greeter"]
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == tables
    assert (await checked(house, tmp_path)).findings == []
