"""Statements stay in the outbox after every answer except the aggregator's permanent refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from fakes.agent_world import World
from fakes.misbehaving import Answer, misbehaving
from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.ports_aggregator import AggregatorUnavailable, Challenge, Enrolled, StatementReceipt
from whence_agent.report.delivery import BLOCKED_MAX, PERMANENT_CODES, Delivery
from whence_agent.report.heartbeat_counter import HeartbeatCounter
from whence_agent.report.outbox import REFUSED_STATEMENTS_MAX, Outbox
from whence_agent.status.document import state_of, status_document
from whence_common.digest import sha256_digest
from whence_common.sts_proof import StsProof

HTML = b"<html><body><h1>404 Not Found</h1><hr>nginx</body></html>"


def problem(http_status: int, kind: str, **changes: object) -> Answer:
    """The aggregator's own answer, or one that resembles it."""
    document = {
        "type": f"urn:whence:problem:{kind}", "title": kind, "status": http_status, "code": kind, "detail": "refused",
        "fix": "", "instance": "/v1/statements", **changes,
    }  # fmt: skip
    return Answer(
        status=http_status, body=json.dumps(document).encode(), headers={"Content-Type": "application/problem+json"}
    )


class NoProof:
    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        return None


class Told:
    """An aggregator over HTTP that accepts statements; the enrolment is done."""

    def __init__(self, client: HttpAggregator) -> None:
        self._client = client
        self.heartbeat = client.heartbeat

    async def challenge(self) -> Challenge:
        return Challenge(nonce="n", audience="https://whence.example.org")

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None) -> Enrolled:
        return Enrolled(number=1, heartbeat_key=b"k" * 32)

    async def submit(self, envelope: bytes) -> StatementReceipt:
        return await self._client.submit(envelope)


def delivery(world: World, aggregator: Told | Blocking) -> Delivery:
    return Delivery(
        aggregator=aggregator, prover=NoProof(), receipts=world.receipts(), key=world.key, counter=HeartbeatCounter(world.key),
        owner=world.owner, outbox=world.outbox, reporter=world.reporter, progress=world.progress, pulse=world.pulse,
        heartbeat_seconds=60, pause_seconds_max=1, random=lambda: 0.5,
    )  # fmt: skip


async def deliver_to(world: World, answers: Answer | Mapping[str, Answer]) -> str:
    """Do one round of delivery against one answer; return the agent's error code for it, if any."""
    async with misbehaving(answers) as host, aiohttp.ClientSession() as session:
        client = HttpAggregator(session=session, url=f"http://{host}", ca_file=None)
        sender = delivery(world, Told(client))
        try:
            await sender.enrol()
            await sender._deliver_all()
        except AggregatorUnavailable as exc:
            sender._failed(exc)
            return exc.code
        return ""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a machine whose boot has succeeded, and whose statement waits in the outbox."""
    one = World(tmp_path)
    one.engine.add("taupageapp")
    one.progress.watched.container = one.engine.containers["taupageapp"].facts
    one.progress.boot.state = "up"
    one.reporter.report("boot")
    return one


@pytest.mark.parametrize(
    "answer",
    [
        *[Answer(status=status, body=HTML, headers={"Content-Type": "text/html"})
          for status in (400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 411, 413, 414, 415, 418, 421, 422, 426, 431, 451)],
        Answer(status=404), Answer(status=410, body=b"{}"), Answer(status=403, body=b'{"message": "Forbidden"}'),
        Answer(status=302, headers={"Location": "http://captive.example.org/login"}),
        Answer(status=307, headers={"Location": "/login"}),
        Answer(status=200, body=HTML, headers={"Content-Type": "text/html"}),
        Answer(status=200, body=b"{}", headers={"Content-Type": "application/json"}),
        Answer(status=201, body=b'{"digest": "sha256:00", "ledger_index": 1}'),
        Answer(status=204), Answer(status=304),
        Answer(status=400, body=problem(400, "envelope-malformed").body, headers={"Content-Type": "application/json"}),
        problem(400, "envelope-malformed", type="about:blank"),
        problem(400, "envelope-malformed", type="https://example.org/problems/envelope-malformed"),
        problem(400, "envelope-malformed", type="urn:whence:problem:envelope-type"),
        problem(400, "envelope-malformed", type="urn:whence:problem:envelope-malformed\n"),
        problem(400, "envelope-malformed", status=403),
        problem(400, "envelope-malformed", code=None),
        problem(502, "envelope-malformed"),
    ],
)  # fmt: skip
async def test_no_answer_of_a_proxy_removes_a_statement(world: World, answer: Answer) -> None:
    code = await deliver_to(world, answer)
    assert code
    assert (len(world.outbox), world.outbox.dropped, world.outbox.refused) == (1, 0, 0)
    state, reasons = state_of(world.progress)
    assert (state, len(reasons)) == ("degraded", 1)
    assert reasons[0].startswith("1 statements are not acknowledged: ")


async def test_the_status_states_that_the_answer_is_not_the_aggregators(world: World) -> None:
    assert await deliver_to(world, Answer(status=404, body=HTML)) == "http-404"
    error = status_document(world.progress)["statements"]["error"]
    assert error.startswith("HTTP 404 for http://127.0.0.1:")
    assert error.endswith(
        "is not a response of the aggregator, but of something before it (check aggregator_url, and the proxies, load "
        "balancers and firewalls before the aggregator)"
    )


@pytest.mark.parametrize(
    "code, status",
    [("account-not-allowed", 403), ("http-404", 404), ("http-405", 405), ("body-encoded", 415), ("body-too-slow", 408),
     ("key-unknown", 401), ("proof-invalid", 401), ("a-code-of-a-later-version", 400), ("internal-error", 500),
     ("too-busy", 429)],
)  # fmt: skip
async def test_other_refusals_of_the_aggregator_remove_no_statement_either(
    world: World, code: str, status: int
) -> None:
    assert await deliver_to(world, problem(status, code)) == code
    assert (len(world.outbox), world.outbox.dropped) == (1, 0)


@pytest.mark.parametrize("code", sorted(PERMANENT_CODES - {"statement-of-other"}))
async def test_a_permanently_refused_statement_is_stored_apart_counted_and_shown(world: World, code: str) -> None:
    waiting = world.outbox.oldest()
    assert waiting is not None
    assert await deliver_to(world, problem(400, code)) == ""
    assert (len(world.outbox), world.outbox.dropped, world.outbox.refused) == (0, 1, 1)
    ((kept,),) = [list(world.outbox.refused_directory.iterdir())]
    assert kept.name == f"0000000000000001.{code}.statement"
    assert kept.read_bytes().partition(b"\n")[2] == waiting.envelope
    world.progress.delivered.acknowledged_at = "2026-11-22T12:00:00Z"
    assert state_of(world.progress)[1] == [
        "1 statements were dropped, 1 of them because the aggregator refused them "
        f"({code}: the aggregator returned HTTP 400: refused; see {world.outbox.refused_directory})"
    ]
    assert Outbox(world.outbox._directory, statements_max=9, bytes_max=9999).refused == 1


async def test_an_answer_of_a_proxy_does_not_replace_a_key(world: World) -> None:
    before = world.key.id
    copied = Answer(status=409, body=b'{"code": "key-of-other"}', headers={"Content-Type": "application/json"})
    async with misbehaving(copied) as host, aiohttp.ClientSession() as session:
        client = HttpAggregator(session=session, url=f"http://{host}", ca_file=None)
        with pytest.raises(AggregatorUnavailable) as caught:
            await client.challenge()
    assert (caught.value.code, caught.value.retryable) == ("http-409", True)
    assert not world.owner.refused(caught.value.code)
    assert world.key.id == before


@pytest.mark.parametrize("body", [b"{}", b'{"accepted": "yes"}', b'{"status": "ok"}', HTML])
async def test_a_heartbeat_counts_only_when_the_aggregator_accepts_it(body: bytes) -> None:
    async with misbehaving(Answer(status=200, body=body)) as host, aiohttp.ClientSession() as session:
        client = HttpAggregator(session=session, url=f"http://{host}", ca_file=None)
        with pytest.raises(AggregatorUnavailable) as caught:
            await client.heartbeat(b"{}", "mac")
    assert caught.value.code == "answer-malformed"


class Blocking:
    """An aggregator behind a firewall that blocks some statements by their content."""

    def __init__(self, blocked: set[bytes]) -> None:
        self.blocked = blocked
        self.asked = 0
        self.taken: list[bytes] = []

    async def challenge(self) -> Challenge:
        return Challenge(nonce="n", audience="https://whence.example.org")

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None) -> Enrolled:
        return Enrolled(number=1, heartbeat_key=b"k" * 32)

    async def submit(self, envelope: bytes) -> StatementReceipt:
        self.asked += 1
        if envelope in self.blocked:
            raise AggregatorUnavailable("http-403", "blocked")
        self.taken.append(envelope)
        return StatementReceipt(digest=sha256_digest(envelope), ledger_index=len(self.taken))

    async def heartbeat(self, body: bytes, mac: str) -> None: ...


async def test_a_statement_blocked_by_a_firewall_does_not_delay_the_others(world: World) -> None:
    first = world.outbox.oldest()
    assert first is not None
    world.reporter.report("change")
    world.reporter.report("change")
    aggregator = Blocking({first.envelope})
    with pytest.raises(AggregatorUnavailable):
        await delivery(world, aggregator)._deliver_all()
    assert (len(aggregator.taken), len(world.outbox)) == (2, 1)
    left = world.outbox.oldest()
    assert left is not None
    assert left.sequence == first.sequence


async def test_a_blocked_connection_gets_few_requests_a_round(world: World) -> None:
    for _ in range(9):
        world.reporter.report("change")
    waiting = {path.read_bytes().partition(b"\n")[2] for path in world.outbox._directory.glob("*.statement")}
    aggregator = Blocking(waiting)
    with pytest.raises(AggregatorUnavailable):
        await delivery(world, aggregator)._deliver_all()
    assert (aggregator.asked, len(world.outbox)) == (BLOCKED_MAX, 10)


def test_refused_statements_are_kept_within_a_bound_newest_first(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox", statements_max=1000, bytes_max=10_000_000)
    for sequence in range(1, REFUSED_STATEMENTS_MAX + 6):
        box.put(sequence, b"x")
        box.refuse(sequence, "envelope-type")
    kept = sorted(path.name for path in box.refused_directory.iterdir())
    assert (len(kept), kept[0]) == (REFUSED_STATEMENTS_MAX, "0000000000000006.envelope-type.statement")
    assert (box.refused, box.dropped, len(box)) == (105, 105, 0)


def test_the_readme_lists_every_code_that_refuses_a_statement_permanently() -> None:
    text = (Path(__file__).parents[2] / "agent" / "README.md").read_text(encoding="utf-8")
    assert [code for code in sorted(PERMANENT_CODES) if f"`{code}`" not in text] == []
