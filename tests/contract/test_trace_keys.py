"""Traces back from every key: account, team, AMI, review and person beside image, commit, ticket and application."""

from __future__ import annotations

import pytest

from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST
from fakes.versions import NEW, NEWER, version
from whence_aggregator.projections.indexing import index_persons
from whence_aggregator.projections.persons import persons_in
from whence_aggregator.queries.audit import CLEAR_COMMIT_PERSON
from whence_aggregator.trace.tracer import SubjectKind, TraceSubject
from whence_common.statement import ApplicationFacts

ONE, TWO = (f"i-{number:017x}" for number in range(1, 3))


def commit(author: str, message: str) -> bytes:
    return (
        b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor " + author.encode() + b" 1763800000 +0100\n"
        b"committer " + author.encode() + b" 1763800000 +0100\n\n" + message.encode()
    )


async def two(house: InProcess) -> None:
    """ONE runs a commit by Ada from review #345, TWO one by Bob from merge request !12 and another AMI and team."""
    house.sources.commits[COMMIT] = commit("Ada <Ada@Example.org>", "PAY-7: greet (#345)\n")
    merged = "Merge branch 'x' into 'main'\n\nGreet louder\n\nSee merge request demo/greeter!12\n"
    house.sources.commits[NEW] = commit("Bob <bob@example.org>", merged)
    await house.register("greeter", team_id="hello")
    await house.say(await house.machine(ONE), **version("1.0", DIGEST, COMMIT))
    other = await house.machine(TWO, imageId="ami-00000002", accountId="210987654321")
    await house.register("farewell", team_id="other")
    application = ApplicationFacts(id="farewell", version="1.1")
    await house.say(other, **{**version("1.1", NEWER, NEW), "application": application})
    await house.work()


async def found(house: InProcess, kind: SubjectKind, value: str) -> list[str]:
    moment = await house.tracer.moments.of()
    subject = TraceSubject(kind=kind, value=value)
    lineages, _ = await house.tracer.matching(subject, moment=moment, after="", limit=10)
    return [one.instance_id for one in lineages]


@pytest.mark.parametrize(
    ("kind", "value", "instances"),
    [
        ("account", "123456789012", [ONE]), ("account", "210987654321", [TWO]), ("account", "999999999999", []),
        ("team", "hello", [ONE]), ("team", "other", [TWO]), ("team", "nobody", []),
        ("ami", "ami-12c6146b", [ONE]), ("ami", "ami-00000002", [TWO]), ("ami", "ami-3", []),
        ("review", "#345", [ONE]), ("review", "demo/greeter!12", [TWO]), ("review", "#12", []),
        ("review", "345", [ONE]), ("review", "12", [TWO]), ("review", "!12", [TWO]), ("review", "other/greeter!12", []),
        ("review", "!345", []), ("review", "demo/greeter#345", [ONE]), ("review", "45", []),
        ("person", "ada@example.org", [ONE]), ("person", "bob@example.org", [TWO]), ("person", "eve@example.org", []),
        ("ticket", "PAY-7", [ONE]), ("ticket", "#345", []),
    ],
)  # fmt: skip
async def test_each_key_leads_back_to_the_instances(
    house: InProcess, kind: SubjectKind, value: str, instances: list[str]
) -> None:
    await two(house)
    assert await found(house, kind, value) == instances


async def test_people_of_commits_that_were_recorded_before_the_index_are_indexed_at_the_start(house: InProcess) -> None:
    await two(house)
    await house.database.write(CLEAR_COMMIT_PERSON.bind([{}]))
    assert await found(house, "person", "ada@example.org") == []
    assert await index_persons(house.database) == 2
    assert await index_persons(house.database) == 0
    assert await found(house, "person", "ada@example.org") == [ONE]


@pytest.mark.parametrize(
    ("value", "mails"),
    [
        ({"author": "Ada <ada@example.org>"}, ["ada@example.org"]),
        ({"author": "A", "author_mail": "Ada@Example.org", "committer_mail": "b@c"}, ["ada@example.org", "b@c"]),
        ({"author": "Ada <ada@example.org>", "author_mail": "ada@example.org"}, ["ada@example.org"]),
        ({"author": ""}, []),
        ({"author": "Ada <>"}, []),
        ({"author": "Ada <a@b@c>"}, []),
        ({"author": "Ada <a\x00@b>"}, []),
        ({"author": "Ada <ä@b>"}, []),
        ({"author": f"Ada <{'a' * 300}@b>"}, []),
        ({}, []),
    ],
)
def test_addresses_are_read_whatever_a_commit_states(value: dict[str, str], mails: list[str]) -> None:
    event = {"kind": "commit", "outcome": "found", "subject": f"git.example.org/x@{COMMIT}", "value": value}
    assert [one["person"] for one in persons_in(event, 7)] == mails
