"""`/v1/notifications` and `whence notifications`: what waits, what is dead, and who may move it; and the metrics of it."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner, Result

from fakes.clocks import FakeClock
from fakes.in_process import LIMITLESS
from fakes.notifications import GONE, REFUSED, House, Violations, everything
from landscape.contract import checked
from landscape.whole import ROOT
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.http.authentication import authentication
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.notifications import NotificationCalls
from whence_aggregator.notifications.dead_box import NotificationBox
from whence_aggregator.notifications.delivering import Lane
from whence_aggregator.notifications.measures import NotificationMeasures
from whence_aggregator.notifications.trial import Trial
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.whence.cli import whence

CALLERS = {
    token_hash("operator"): Caller(name="olga", teams=frozenset(), rights=frozenset({"operate"})),
    token_hash("reader"): Caller(name="reader", teams=frozenset()),
}
FIRST = "msg_" + "0" * 32


class Asked:
    """A server with notifications, and what asks it."""

    def __init__(self, client: Any, house: House, box: NotificationBox, place: Path) -> None:
        self._client = client
        self.house = house
        self.box = box
        self._place = place

    async def get(self, path: str, token: str = "operator", **query: str) -> tuple[int, Any]:
        async with self._client.get(path, params=query, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path: str, body: object, token: str = "operator") -> tuple[int, Any]:
        async with self._client.post(path, json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status, await answer.json(content_type=None)

    async def whence(self, *words: str, token: str = "operator") -> Result:
        given = ["--url", str(self._client.make_url("")).rstrip("/"), "notifications", *words]
        return await asyncio.to_thread(CliRunner(env={"WHENCE_TOKEN": token}).invoke, whence, given)

    def replays(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self._place)) as connection:
            return list(connection.execute("select id, done_by from notification_replay"))


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    """Two violations: the opening of the first was refused, and the receiver is gone since the second."""
    clock, place = FakeClock(), tmp_path / "ledger.db"
    database = await SqliteDatabase.open(place)
    house, violations = House(database, clock, [everything()]), Violations(database, clock)
    await house.feeding.start()
    house.receivers["ops"].answers.extend([REFUSED, GONE])
    await violations.step("opened")
    await violations.step("opened", "shop@2.0")
    await house.turn()
    box = NotificationBox(database=database, destinations=[everything(), everything("new")], now=clock)
    check = authentication(Authenticator(
        known=CALLERS, sources=NOBODY, sessions=None, attempts=Limit("address", LIMITLESS), now=clock
    ))  # fmt: skip
    application = web.Application()
    lanes = [Lane(destination=everything(), sender=house.receivers["ops"])]
    calls = NotificationCalls(box, Trial(lanes=lanes, now=clock)).routes()
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, check)) for one in calls)
    server = TestServer(application)
    await server.start_server()
    async with TestClient(server, middlewares=[checked(str(server.make_url("")))]) as client:
        yield Asked(client, house, box, place)
    await database.close()


async def test_operators_see_how_destinations_stand_and_nobody_else_does(asked: Asked) -> None:
    status, found = await asked.get("/v1/notifications")
    new, ops = found["destinations"]
    assert (status, new["name"], new["waiting"], new["dead"]) == (200, "new", 0, 0)
    assert ops == {
        "name": "ops", "kind": "webhook", "host": "hooks.example.org", "waiting": 1, "dead": 1, "failures": 0,
        "oldest_due_at": "2026-11-22T12:00:00.001Z", "paused_until": None, "disabled_at": "2026-11-22T12:00:00.002Z",
        "disabled_reason": "hooks.example.org answers with HTTP 410",
    }  # fmt: skip
    for path in ("/v1/notifications", "/v1/notifications/dead"):
        assert (await asked.get(path, "reader"))[0] == 403
    for path in ("dead/replay", "dead/discard", "enable", "test"):
        assert (await asked.post(f"/v1/notifications/{path}", {}, "reader"))[0] == 403


async def test_a_dead_letter_is_listed_and_sent_again_by_whoever_is_noted(asked: Asked) -> None:
    _, found = await asked.get("/v1/notifications/dead", destination="ops")
    (letter,) = found["letters"]
    assert (letter["step"], letter["code"], letter["reason"], found["next"]) == (
        "opened", "http-400", "hooks.example.org answers with HTTP 400", None
    )  # fmt: skip
    assert (await asked.get("/v1/notifications/dead", destination="new"))[1]["letters"] == []
    assert await asked.post("/v1/notifications/dead/replay", {"ids": [letter["id"]]}) == (202, {"replayed": 1})
    assert asked.replays() == [(letter["id"], "olga")]
    assert (await asked.post("/v1/notifications/dead/replay", {"ids": [letter["id"]]}))[0] == 404
    assert await asked.post("/v1/notifications/enable", {"destination": "ops"}) == (200, {"enabled": "ops"})
    await asked.house.turn()
    assert sorted(asked.house.receivers["ops"].indexes) == [0, 1]


@pytest.mark.parametrize(
    "path, body",
    [
        ("dead/replay", {}), ("dead/replay", {"ids": [FIRST], "all": True}), ("dead/replay", {"ids": ["x"]}),
        ("dead/replay", {"id": FIRST}), ("dead/replay", []), ("dead/discard", {"all": True}), ("enable", {}),
        ("dead/replay", {"ids": [FIRST] * 1_001}),
    ],
)  # fmt: skip
async def test_what_is_not_stated_well_moves_nothing(asked: Asked, path: str, body: object) -> None:
    assert (await asked.post(f"/v1/notifications/{path}", body))[0] == 400
    assert asked.replays() == []


async def test_the_command_lists_replays_discards_and_enables(asked: Asked) -> None:
    listed = await asked.whence("list")
    assert "hooks.example.org answers with HTTP 410" in listed.output
    dead = await asked.whence("dead", "--json")
    assert ('"code": "http-400"' in dead.output, dead.exit_code) == (True, 1)
    assert (await asked.whence("replay")).exit_code == 2
    assert (await asked.whence("replay", "--all")).output == "1 dead letters are sent again\n"
    assert (await asked.whence("dead")).exit_code == 0
    assert (await asked.whence("enable", "ops")).output == "ops is sent to again\n"
    unknown = await asked.whence("discard", FIRST)
    assert (unknown.exit_code, "there is no dead letter" in unknown.output) == (4, True)
    assert (await asked.whence("list", token="reader")).exit_code == 3


async def test_a_test_message_goes_out_at_once_and_its_answer_is_shown(asked: Asked) -> None:
    receiver = asked.house.receivers["ops"]
    sent = await asked.whence("test", "ops")
    assert (sent.exit_code, sent.output) == (0, "ops accepted a test message\n")
    (one,) = receiver.got[-1].notifications
    assert (one.step, one.by, one.after.reason) == ("test", "olga", "This is a test, and no violation.")
    receiver.answers.append(REFUSED)
    refused = await asked.whence("test", "ops")
    assert (refused.exit_code, "refused: hooks.example.org answers with HTTP 400" in refused.output) == (1, True)
    assert (await asked.whence("test", "nobody")).exit_code == 4


async def test_metrics_state_what_was_sent_what_waits_and_what_is_dead(asked: Asked) -> None:
    measures = NotificationMeasures(asked.box, names=["new", "ops"], now=asked.house.clock)
    for one in asked.house.counted:
        measures.count(*one)
    asked.house.clock.advance(60)
    (sent,), stored = measures.families(), await measures.stored()
    assert {(one.labels["destination"], one.labels["outcome"]): one.value for one in sent.samples} == {
        ("new", "accepted"): 0, ("new", "failed"): 0, ("new", "dead"): 0, ("new", "gone"): 0,
        ("ops", "accepted"): 0, ("ops", "failed"): 0, ("ops", "dead"): 1, ("ops", "gone"): 1,
    }  # fmt: skip
    assert {family.name: [one.value for one in family.samples] for family in stored} == {
        "whence_notifications_waiting": [0, 1], "whence_notifications_dead_letters": [0, 1],
        "whence_notifications_late_seconds": [0, 60.001], "whence_notifications_disabled": [0, 1],
    }  # fmt: skip
    described = (ROOT / "packaging" / "monitoring" / "README.md").read_text("utf-8")
    exposed = {f"{sent.name}_total", *(one.name for one in stored)}
    assert set(re.findall(r"`(whence_notifications_[a-z_]+)`", described)) == exposed
