"""Logs that instances send without a signature: taken once and durably, and nothing that is known moves by them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.auditor import checked, dumped
from fakes.in_process import LIMITLESS, InProcess
from fakes.served_house import served
from whence_aggregator.callers.fleet import FleetCredentials
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.fullstop.instance_logs import LOG_BYTES_MAX, InstanceLogs
from whence_aggregator.http.instance_logs import InstanceLogCalls
from whence_aggregator.queries.audit import DUMP_INSTANCE_LOG
from whence_common.clock import to_instant
from whence_common.errors import InputError

ACCOUNT = "123456789012"
PASSWORD = "the fleet's password"
CREDENTIALS = FleetCredentials.parse(
    f"# one line\nsha256:{hashlib.sha256(PASSWORD.encode()).hexdigest()} taupage\n", name="fleet"
)
USER_DATA = b"#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\nsource: r.example.org/a/b:1\nenvironment: {DB_PASSWORD: hunter2}\n"


def log_of(content: bytes = USER_DATA, /, **changes: object) -> dict[str, object]:
    """Return a log as Taupage's agent sends it: `base64` breaks its lines."""
    return {
        "account_id": ACCOUNT, "region": "eu-central-1", "instance_id": "i-0123456789abcdef0",
        "instance_boot_time": "2026-11-22T11:59:00Z", "log_type": "USER_DATA",
        "log_data": base64.encodebytes(content).decode(), **changes,
    }  # fmt: skip


class Fleet:
    """Sends logs."""

    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self._url = url
        self._client = client

    async def send(
        self, document: object, *, user: str = "taupage", password: str = PASSWORD, body: bytes | None = None,
    ) -> tuple[int, Any]:  # fmt: skip
        shown = base64.b64encode(f"{user}:{password}".encode()).decode()
        given = {"Authorization": f"Basic {shown}"} if user else {}
        content = body if body is not None else json.dumps(document).encode()
        async with self._client.post(self._url, data=io.BytesIO(content), headers=given) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None


@asynccontextmanager
async def fleet_of(house: InProcess, *, day_bytes_max: int = 2**30, attempts: Rate = LIMITLESS) -> AsyncIterator[Fleet]:
    logs = InstanceLogs(
        database=house.database, ledger=house.ledger, accounts=frozenset({ACCOUNT}),
        account_day_bytes_max=day_bytes_max, keep_days=30, now=house.clock,
    )  # fmt: skip
    calls = InstanceLogCalls(logs=logs, credentials=CREDENTIALS, attempts=Limit("address", attempts))
    async with served(house, calls.routes(), {}) as url, aiohttp.ClientSession() as client:
        yield Fleet(f"{url}/api/instance-logs", client)


@pytest.fixture
async def fleet(house: InProcess) -> AsyncIterator[Fleet]:
    async with fleet_of(house) as found:
        yield found


async def test_user_data_is_recorded_once_masked_and_asserted(house: InProcess, fleet: Fleet, tmp_path: Path) -> None:
    assert await fleet.send(log_of()) == (201, None)
    assert await fleet.send(log_of()) == (201, None)
    (entry,) = await house.entries("instance-log")
    stated = json.loads(entry.content or b"")
    assert (stated["source"], stated["state"], stated["size"]) == ("unsigned report", "asserted", len(USER_DATA))
    assert stated["document"]["application_id"] == "greeter"
    assert "hunter2" not in (entry.content or b"").decode()
    assert (await checked(house, tmp_path)).findings == []


async def test_an_audit_log_is_kept_whole_and_another_one_of_the_instance_beside_it(
    house: InProcess, fleet: Fleet
) -> None:
    for content in (b"\x00\xff binary", b"second"):
        assert await fleet.send(log_of(content, log_type="AUDIT_LOG")) == (201, None)
    assert len(await house.entries("instance-log")) == 2
    rows = await house.database.fetch(DUMP_INSTANCE_LOG.bind({"limit": 10, "offset": 0}))
    assert [(row["log_type"], row["size"], row["document"]) for row in rows] == [
        ("AUDIT_LOG", 9, ""), ("AUDIT_LOG", 6, ""),
    ]  # fmt: skip


async def test_a_log_moves_nothing_that_is_known_of_its_instance(house: InProcess, fleet: Fleet) -> None:
    machine = await house.machine("i-0123456789abcdef0")
    await house.say(machine)
    await house.work()
    before = await dumped(house.database)
    at = house.clock()
    house.clock.advance(3600)
    assert (await fleet.send(log_of(b"#taupage-ami-config\napplication_id: evil\n")))[0] == 201
    assert (await fleet.send(log_of(instance_id="i-0fffffffffffffff0")))[0] == 201
    await house.work()
    after = await dumped(house.database)
    moved = {table for table, rows in after.items() if rows != before[table]}
    assert moved <= {"instance_log", "clock", "verdict", "instance", "tally", "fullstop_number", "fact"}
    rows = {row["instance_id"]: row for row in after["instance"]}
    old = {row["instance_id"]: row for row in before["instance"]}
    assert set(rows) == {"i-0123456789abcdef0"}
    kept = ("life", "spoke_at", "asked_at", "ledger_index", "observed_at", "image_id")
    assert [rows["i-0123456789abcdef0"][one] for one in kept] == [old["i-0123456789abcdef0"][one] for one in kept]
    assert "evil" not in str(await house.lineage()) + str(await house.lineage(at=to_instant(at)))


async def test_wrong_credentials_are_refused_before_the_body_and_their_number_is_limited(house: InProcess) -> None:
    async with fleet_of(house, attempts=Rate(per_second=0.001, burst=4)) as fleet:
        for user, password in (("", ""), ("taupage", "hunter2"), ("nobody", PASSWORD), ("tau\tpage", "")):
            status, answer = await fleet.send(None, user=user, password=password, body=b"not json")
            assert (status, answer["code"]) == (401, "fleet-credentials")
            assert password not in answer["detail"] or not password
        assert (await fleet.send(log_of(), password="wrong"))[0] == 429
        assert (await fleet.send(log_of()))[0] == 429, "or further guesses would still be answered"
    async with fleet_of(house, attempts=Rate(per_second=0.001, burst=2)) as fleet:
        assert [(await fleet.send(log_of()))[0] for _ in range(4)] == [201] * 4, "what is right does not count"


@pytest.mark.parametrize(
    "changes",
    [
        {"account_id": None}, {"account_id": "12"}, {"account_id": 123456789012}, {"region": "moon"}, {"region": 1},
        {"instance_id": "i-x"}, {"instance_id": ["i-0123456789abcdef0"]}, {"instance_boot_time": "yesterday"},
        {"instance_boot_time": None}, {"log_type": None}, {"log_type": "ELSE"}, {"log_data": None}, {"log_data": "***"},
        {"log_data": "YQ"}, {"log_data": 7}, {"log_data": ""}, {"instance_boot_time": "2026-11-22T11:59:00"},
    ],
)  # fmt: skip
async def test_a_malformed_log_is_a_400_and_records_nothing(
    house: InProcess, fleet: Fleet, changes: dict[str, object]
) -> None:
    status, answer = await fleet.send(log_of(**changes))
    assert (status, answer["code"]) == (400, "instance-log-malformed")
    assert await house.entries("instance-log") == []


async def test_hostile_bodies_are_refused(house: InProcess, fleet: Fleet) -> None:
    large = base64.b64encode(b"x" * (LOG_BYTES_MAX + 1)).decode()
    deep = b"[" * 100_000
    for body in (b"", b"{", b"[]", b"null", b"\xff", deep):
        assert (await fleet.send(None, body=body))[0] == 400, body[:10]
    assert (await fleet.send(log_of(log_data=large)))[0] == 400
    assert (await fleet.send(log_of(log_data="A" * (3 * LOG_BYTES_MAX))))[0] == 413
    assert (await fleet.send(log_of(account_id="999999999999")))[1]["code"] == "account-forbidden"
    for content in (b"\x00", b"a: &a [*a]", b"a: " + b"[" * 5_000, b"#taupage-ami-config\n" + b"x: y\n" * 50_000):
        assert (await fleet.send(log_of(content)))[0] == 201, content[:20]
    assert {json.loads(one.content or b"")["log_type"] for one in await house.entries("instance-log")} == {"USER_DATA"}


async def test_an_account_may_send_so_much_in_a_day(house: InProcess) -> None:
    async with fleet_of(house, day_bytes_max=2_500) as fleet:
        assert (await fleet.send(log_of(b"a" * 1_000, log_type="AUDIT_LOG")))[0] == 201
        status, answer = await fleet.send(log_of(b"b" * 1_000, log_type="AUDIT_LOG"))
        assert (status, answer["code"]) == (429, "instance-logs-limited")
        house.clock.advance(86_401)
        assert (await fleet.send(log_of(b"b" * 1_000, log_type="AUDIT_LOG")))[0] == 201


async def test_countless_tiny_logs_count_for_what_they_take(house: InProcess) -> None:
    async with fleet_of(house, day_bytes_max=3 * 1_100) as fleet:
        sent = [await fleet.send(log_of(bytes([n]), log_type="AUDIT_LOG")) for n in range(4)]
        assert [status for status, _ in sent] == [201, 201, 201, 429]


async def test_what_a_body_has_beside_a_log_is_skipped(fleet: Fleet) -> None:
    assert (await fleet.send(log_of(more=[{}] * 100_000)))[0] == 201
    assert (await fleet.send(log_of(log_data=[{}] * 100_000)))[1]["code"] == "instance-log-malformed"


async def test_without_settings_the_path_refuses_and_says_what_to_do(house: InProcess) -> None:
    calls = InstanceLogCalls(logs=None, credentials=None, attempts=Limit("address", LIMITLESS))
    async with served(house, calls.routes(), {}) as url, aiohttp.ClientSession() as client:
        status, answer = await Fleet(f"{url}/api/instance-logs", client).send(log_of())
    assert (status, answer["code"], "set instance_logs" in answer["fix"]) == (404, "instance-logs-off", True)


@pytest.mark.parametrize("text", ["", "# nothing", "taupage secret", f"sha256:{'A' * 64} taupage", "sha256:00 a"])
def test_a_malformed_file_of_credentials_is_refused_without_its_contents(text: str) -> None:
    with pytest.raises(InputError) as refused:
        FleetCredentials.parse(text, name="fleet")
    assert "secret" not in refused.value.diagnostics()
