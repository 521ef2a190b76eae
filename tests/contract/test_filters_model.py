"""Every combination of filters finds what a model finds by looking at each row, page by page, in any state and at any time."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.coverage import coverage_of
from fakes.in_process import ROOT, SILENT_AFTER_SECONDS, InProcess
from fakes.known_caller import called_by
from fakes.machine import FAILED, Machine, scm
from whence_aggregator.amis.package_search import PackageSearch
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.queries import QueryCalls
from whence_aggregator.http.violations import ViolationCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.queries.compliance import VERDICTS_OF, VerdictsOfRow
from whence_aggregator.queries.query import instance_ids
from whence_common.clock import to_instant, to_millis
from whence_common.statement import ApplicationFacts, ContainerFacts, ImageFacts, UserDataFacts

NAMES = [f"i-{number:017x}" for number in range(1, 13)]
PLACE = "123456789012/eu-central-1"
LAUNCHED = "2026-11-22T11:59:00.000Z"
APPLICATIONS, AMIS = ("greeter", "farewell", "third"), ("ami-00000001", "ami-00000002")
DIGESTS = {f"sha256:{letter * 64}": letter * 40 for letter in "abc"}
TICKETS = {"a" * 40: "DEMO-1", "b" * 40: "DEMO-2", "c" * 40: "DEMO-1"}
COMBINATIONS = 300
HEARD = ("speaking", "silent", "never")
SEVERITY = {rule.id: str(rule.severity) for rule in RULES}


@dataclass
class Known:
    """What one instance stated and when, and its life as the listings had it."""

    ami: str
    said: list[dict[str, Any]] = field(default_factory=list)
    lives: list[tuple[str, str]] = field(default_factory=list)
    seen: int = 0


class Model:
    """A fleet of twelve, and what is to be answered of it."""

    def __init__(self, house: InProcess, chance: random.Random) -> None:
        self.house, self.chance = house, chance
        self.known = {name: Known(AMIS[number % 2]) for number, name in enumerate(NAMES)}
        self.machines = {name: Machine(house.authority, name, imageId=known.ami) for name, known in self.known.items()}
        self.owners: list[tuple[str, dict[str, str]]] = []

    @property
    def now(self) -> str:
        return to_instant(self.house.clock())

    async def own(self, **teams: str) -> None:
        for application, team in teams.items():
            await self.house.register(application, team_id=team)
        self.owners.append((self.now, teams))

    async def state(self, name: str, cause: str) -> None:
        digest, application = self.chance.choice(list(DIGESTS)), self.chance.choice(APPLICATIONS)
        version, data = self.chance.choice(["1.0", "2.0"]), self.chance.choice("de")
        changes: dict[str, Any] = {k: v for k, v in FAILED.items() if k != "cause"} if cause == "failed" else {
            "image": ImageFacts(source="r.example.org/a/b:1", repository="r.example.org/a/b", digest=digest),
            "containers": [ContainerFacts(name="taupageapp", container_id="1", image_digest=digest, state="running")],
            "scm_source": scm(revision=DIGESTS[digest]),
        }  # fmt: skip
        user_data = UserDataFacts(digest="sha256:" + data * 64, document={"application_id": application})
        await self.house.say(
            self.machines[name], cause=cause, application=ApplicationFacts(id=application, version=version),
            user_data=user_data, observed_at=self.now, **changes,
        )  # fmt: skip
        known = self.known[name]
        known.said.append(
            {"recorded": self.now, "cause": cause, "application": application, "version": version,
             "user_data": user_data.digest, "image": None if cause == "failed" else digest}
        )  # fmt: skip
        known.seen = to_millis(self.house.clock())
        if not known.lives:
            known.lives.append((self.now, "unknown"))

    async def collect(self, **states: str) -> None:
        self.house.ec2.listed = {name: (states.get(name[-1], "running"), LAUNCHED) for name in NAMES if name[-1] != "c"}
        await self.house.inventory.collect(PLACE)
        for name, known in self.known.items():
            life = self.house.ec2.listed.get(name, ("terminated", ""))[0]
            if known.lives[-1][1] != life:
                known.lives.append((self.now, life))

    def heard(self, name: str) -> str:
        silent = self.known[name].seen < to_millis(self.house.clock()) - int(SILENT_AFTER_SECONDS * 1000)
        return "silent" if silent else "speaking"

    def team(self, application: str, at: str) -> str | None:
        found = [teams[application] for since, teams in self.owners if since <= at and application in teams]
        return found[-1] if found else None

    def meant(self, life: str, heard: str | None, words: str) -> bool:
        """Whether a state is meant; `heard` is None in the past."""
        if words == "any":
            return True
        if words == "now":
            return life == "running" or (life == "unknown" and heard in ("speaking", None))
        asked = words.split(",")
        lives, hearing = [one for one in asked if one not in HEARD], [one for one in asked if one in HEARD]
        return (not lives or life in lives) and (not hearing or heard in hearing)

    def instances(self, query: dict[str, str]) -> list[str]:
        found = []
        at = query.get("at", self.now)
        for name, known in self.known.items():
            said = [one for one in known.said if one["recorded"] <= at]
            if not said:
                continue
            one = said[-1]
            life = [life for since, life in known.lives if since <= at][-1]
            commit = DIGESTS.get(one["image"] or "", "")
            same = all(
                one[key] == query[key]
                for key in ("cause", "application", "version", "user_data", "image")
                if key in query
            )
            if (
                same
                and query.get("ami", known.ami) == known.ami
                and ("team" not in query or self.team(one["application"], at) == query["team"])
                and ("commit" not in query or (commit and commit.startswith(query["commit"])))
                and ("ticket" not in query or TICKETS.get(commit) == query["ticket"])
                and query.get("since", "") <= one["recorded"]
                and one["recorded"] < query.get("until", "9")
                and self.meant(life, None if "at" in query else self.heard(name), query.get("state", "now"))
            ):
                found.append(name)
        return found

    def violates(self, row: VerdictsOfRow, query: dict[str, str]) -> bool:
        """Whether a verdict is one that a question about violations asks for."""
        known = self.known[row["instance_id"]]
        application = known.said[-1]["application"]
        shown = {
            **{name: row[name] for name in ("verdict", "rule")},
            "instance": row["instance_id"],
            "severity": SEVERITY[row["rule"]],
            "team": self.team(application, self.now),
            "ami": known.ami,
            "application": application,
            "account": "123456789012",
            "region": "eu-central-1",
        }
        same = all(value == query.get(name, value) for name, value in shown.items())
        within = query.get("since", "") <= row["since"] < query.get("until", "9")
        return (
            same
            and within
            and (row["folded_under"] is None or query.get("folded") == "all")
            and self.meant(known.lives[-1][1], self.heard(row["instance_id"]), query.get("state", "any"))
        )

    def draw(self) -> dict[str, str]:
        """Draw a question."""
        pick = self.chance.choice
        times = [f"2026-11-22T12:{minute:02}:30.000Z" for minute in (0, 10, 20, 30, 40, 50)]
        every = {
            "application": APPLICATIONS, "version": ("1.0", "2.0"), "ami": (*AMIS, "ami-00000003"), "team": ("hello", "other"),
            "user_data": ("sha256:" + "d" * 64, "sha256:" + "e" * 64), "image": tuple(DIGESTS),
            "commit": ("a" * 40, "b" * 7, "c" * 12), "ticket": ("DEMO-1", "DEMO-2", "DEMO-3"), "cause": ("boot", "change", "failed"),
            "since": times, "until": times, "at": times,
        }  # fmt: skip
        query = {name: pick(list(values)) for name, values in every.items() if self.chance.random() < 0.18}
        if query.get("since", "") >= query.get("until", "9"):
            del query["until"]
        words = ["any", "now", "running", "unknown", "stopped,unknown", "terminated", "running,stopped", "pending"]
        if "at" not in query:
            words += [
                "speaking",
                "silent",
                "running,silent",
                "unknown,speaking",
                "never",
                "silent,speaking",
                "stopped,never",
            ]
        if self.chance.random() < 0.85:
            query["state"] = pick(words)
        return query


@pytest.fixture
async def ask(house: InProcess) -> AsyncIterator[Any]:
    calls = QueryCalls(
        database=house.database,
        log=LogReader(house.database),
        search=house.search,
        tracer=house.tracer,
        rules=house.rules,
        packages=PackageSearch(
            database=house.database, listening=house.listening, search=house.search, trusted=frozenset()
        ),
    ).routes()
    calls += ViolationCalls(
        Violations(database=house.database, listening=house.listening), coverage=coverage_of(house), now=house.clock
    ).routes()
    application = web.Application(middlewares=[called_by(ROOT)])
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in calls)
    async with TestClient(TestServer(application)) as client:

        async def pages(path: str, name: str, query: dict[str, str], limit: int) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            cursor: dict[str, str] = {}
            while True:
                async with client.get(path, params={**query, **cursor, "limit": str(limit)}) as answer:
                    document = await answer.json(content_type=None)
                    assert answer.status == 200, (query, document)
                assert len(document[name]) <= limit
                found += document[name]
                if document["next"] is None:
                    return found
                assert document[name], (query, "an empty page is the last")
                cursor = {"cursor": document["next"]}

        yield pages


@pytest.fixture
async def model(house: InProcess) -> Model:
    model = Model(house, random.Random(16))
    for digest, commit in DIGESTS.items():
        house.sources.images[digest] = msgspec.json.encode(
            {"url": "git:https://git.example.org/demo/greeter.git", "revision": commit, "author": "ada", "status": ""}
        )
        house.sources.commits[commit] = (
            f"tree a\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n{TICKETS[commit]}: x".encode()
        )
    await model.own(greeter="hello", farewell="other")
    for name in NAMES:
        await house.enrol(model.machines[name])
        await model.state(name, model.chance.choice(["boot", "failed"]))
    await house.work()
    house.clock.advance(600)
    await model.collect(**{"2": "stopped", "3": "terminated"})
    await house.work()
    house.clock.advance(600)
    await model.own(greeter="other", third="hello")
    for name in NAMES[4:9]:
        await model.state(name, "change")
    await house.work()
    house.clock.advance(600)
    await model.collect(**{"2": "terminated", "3": "terminated", "5": "stopped", "9": "pending"})
    await house.work()
    house.clock.advance(600)
    for name in NAMES[6:8]:
        await model.state(name, "change")
    await house.work()
    house.clock.advance(1300)
    for name in (NAMES[7], NAMES[11]):
        await model.state(name, "change")
    await house.work()
    house.clock.advance(60)
    return model


async def test_every_combination_of_filters_finds_what_a_model_finds(model: Model, ask: Any) -> None:
    for _ in range(COMBINATIONS):
        query, limit = model.draw(), model.chance.choice([1, 2, 3, 5, 12, 100])
        rows = await ask("/v1/instances", "instances", query, limit)
        assert [row["instance_id"] for row in rows] == model.instances(query), (query, limit)


VIOLATION_FILTERS: dict[str, tuple[str, ...]] = {
    "folded": ("all",),
    "verdict": ("fail", "unknown"),
    "rule": tuple(SEVERITY),
    "severity": ("1", "2", "3"),
    "team": ("hello", "other", "third"),
    "ami": AMIS,
    "application": APPLICATIONS,
    "instance": tuple(NAMES),
    "account": ("123456789012", "210987654321"),
    "region": ("eu-central-1", "eu-west-1"),
    "since": ("2026-11-22T12:05:00.000Z", "2026-11-22T12:25:00.000Z"),
    "until": ("2026-11-22T12:26:00.000Z", "2026-11-22T12:45:00.000Z"),
    "state": ("any", "now", "running", "silent", "unknown,speaking", "stopped", "terminated", "stopped,silent"),
}


async def test_every_combination_of_filters_finds_the_violations_that_a_model_finds(model: Model, ask: Any) -> None:
    await model.house.register("idle", team_id="third")  # a team that is not known is not found
    named = instance_ids(NAMES)
    verdicts = await model.house.database.fetch(VERDICTS_OF.bind(named))
    whole = [row for row in verdicts if row["verdict"] in ("fail", "unknown")]
    assert len(whole) > 20
    for _ in range(COMBINATIONS):
        drawn = VIOLATION_FILTERS.items()
        query = {name: model.chance.choice(values) for name, values in drawn if model.chance.random() < 0.2}
        limit = model.chance.choice([1, 2, 7, 100])
        rows = await ask("/v1/violations", "violations", query, limit)
        found = [(row["instance_id"], row["rule"], row["verdict"]) for row in rows]
        expected = [(row["instance_id"], row["rule"], row["verdict"]) for row in whole if model.violates(row, query)]
        assert found == sorted(expected), (query, limit)
