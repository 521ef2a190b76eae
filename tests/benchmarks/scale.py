"""Storage of a million statements of a hundred thousand instances; queries on ten thousand and on a million instances."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import random
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from benchmarks.samples import (
    Sampled,
    account_of,
    application_of,
    commit_of,
    enrolment_entry,
    image_of,
    name_of,
    new_key,
)
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority, identity_document
from landscape.postgres import new_database, postgres
from landscape.programs import aggregator
from whence_aggregator.agents.enrolment import Enrolment
from whence_aggregator.agents.ingest import Verified
from whence_aggregator.agents.verification import Submitted, VerifiedStatement, check
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database
from whence_aggregator.projections.verdicts import project_verdicts
from whence_aggregator.queries.agents import ADD_ENROLMENT, ADD_INSTANCE, AddEnrolmentParameters, AddInstanceParameters
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.clock import parse_instant, to_millis
from whence_common.ledger_entry import event
from whence_common.log_policy import Policy
from whence_common.receipt import Receipt

_BATCH = 240
_STATEMENTS_EACH = 10
_STORED_INSTANCES = int(os.environ.get("BENCH_STORED_INSTANCES", "100000"))
_ASKED_INSTANCES = tuple(int(n) for n in os.environ.get("BENCH_ASKED_INSTANCES", "10000,1000000").split(","))
_ASKED = 300
_UPDATE_SECONDS_MAX = 600.0
_ASKED_ROUNDS = 5
"""What is printed is the median of the rounds: a machine that others use as well is slow for seconds at a time."""


async def enrol_all(house: InProcess, machines: list[Sampled]) -> None:
    """Bind keys as enrolment does, without asking AWS: entries and rows, many at once."""
    real = bytearray(base64.b64decode(house.authority.sign(identity_document("i-" + "f" * 17))))
    place = real.index(b"i-" + b"f" * 17)
    number = 0
    for start in range(0, len(machines), _BATCH):
        batch = machines[start : start + _BATCH]
        stated = []
        for one in batch:
            real[place : place + 19], real[-262:-6] = (
                one.instance_id.encode(),
                os.urandom(256),
            )  # its name, its signature
            stated.append(one.enrolment(identity=base64.b64encode(real).decode()))
        async with house.ledger.writing() as writing:
            places = await writing.append([NewEntry(kind="enrolment", content=enrolment_entry(one)) for one in stated])
            instances: list[AddInstanceParameters] = []
            bindings: list[AddEnrolmentParameters] = []
            for said, (index, _) in zip(stated, places, strict=True):
                number += 1
                facts = said["instance"]
                instances.append(
                    {"number": number, "instance_id": facts["instance_id"], "account_id": facts["account_id"],
                     "region": facts["region"], "image_id": facts["image_id"], "listed": "", "asked_at": 0,
                     "life": "unknown", "life_index": -1}
                )  # fmt: skip
                key_id = bytes.fromhex(said["key_id"])
                pending_at = to_millis(parse_instant(said["instance"]["pending_time"]))
                bindings.append(
                    {"instance": number, "number": 1, "key_id": key_id, "ledger_index": index, "pending_at": pending_at}
                )
            writing.writes += [ADD_INSTANCE.bind(instances), ADD_ENROLMENT.bind(bindings)]


def verified(machine: Sampled, content: bytes, checked: VerifiedStatement) -> Verified:
    enrolment = Enrolment(
        instance_id=machine.instance_id, number=1, key_id="", public_key="", account_id=account_of(machine.number),
        region="", level="", enrolled_at="", ledger_index=0, identity={},
    )  # fmt: skip
    return Verified(checked=checked, content=content, base=None, enrolment=enrolment, request_id="")


def taken(machine: Sampled, content: bytes) -> Verified:
    predicate_region = ("eu-central-1", "eu-west-1", "us-east-1")[machine.number % 3]
    submitted = Submitted(content, _wire(machine), machine.instance_id, account_of(machine.number), predicate_region)
    (checked,) = check([submitted])
    assert isinstance(checked, VerifiedStatement), checked
    return verified(machine, content, checked)


def _wire(machine: Sampled) -> str:
    from whence_common.keys import public_key_to_wire

    return public_key_to_wire(machine.key.public_key())


async def storage(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print what a statement costs on disk, everything told."""
    path = directory / "ledger.db"
    database = await SqliteDatabase.open(path)
    house = InProcess(database, SigningAuthority.make())
    await house.ledger.start()
    machines = [Sampled(number, new_key()) for number in range(_STORED_INSTANCES)]
    began = time.monotonic()
    await enrol_all(house, machines)
    enrolled = _size(path)
    print(
        f"{len(machines):,} instances enrolled after {time.monotonic() - began:.0f} s, {enrolled / len(machines):,.0f} bytes each",
        flush=True,
    )
    total, sizes, sample = 0, 0, dict[int, bytes]()
    for _ in range(_STATEMENTS_EACH):
        random.Random(total).shuffle(machines)
        for start in range(0, len(machines), _BATCH):
            batch = []
            for machine in machines[start : start + _BATCH]:
                content = machine.statement()
                sizes += len(content)
                batch.append(taken(machine, content))
            answers = await house.ingest._commit(batch)
            house.clock.advance(0.05)
            total += len(batch)
            if total % 7 == 0:
                sample[answers[0].ledger_index] = batch[0].content  # type: ignore[union-attr]  # accepted
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    grown = _size(path)
    for index, content in sample.items():
        assert (await house.reader.entry(index)).content == content, "bytes must come back as they came"
    print(f"{total:,} statements after {time.monotonic() - began:.0f} s, {sizes / total:,.0f} bytes each as they came")
    print(
        f"stored: {(grown - enrolled) / total:,.0f} bytes a statement; {grown / total:,.0f} with the enrolments (signature, tree and indexes included)"
    )
    print(f"{len(sample)} of them read back byte for byte")
    for name, size in _tables(path):
        print(f"  {name}: {size / total:,.1f} bytes a statement")
    await database.close()


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(path.name + "*"))


def _tables(path: Path) -> list[tuple[str, int]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(
            "select name, sum(pgsize) from dbstat group by name having sum(pgsize) > 1000000 order by 2 desc"
        ).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


async def queries(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print latencies over HTTP on loopback, one question at a time, on fleets of different sizes, on SQLite."""
    await _queries(directory, None)


async def queries_on_postgres(directory: Path, *, rounds: int, limit: Path) -> None:
    """Do that on PostgreSQL."""
    directory.chmod(0o755)
    async with postgres(directory, directory) as dsn:
        await _queries(directory, dsn)


async def _queries(directory: Path, dsn: str | None) -> None:
    medians: dict[str, list[float]] = {}
    for size in _ASKED_INSTANCES:
        home = directory / f"of-{size}"
        (home / "aggregator").mkdir(parents=True)
        began = time.monotonic()
        database = await new_database(dsn, f"of_{size}") if dsn is not None else None
        if database is not None:
            await fill_postgres(database, size)
        else:
            await fill_sqlite(home / "aggregator" / "ledger.db", size)
        print(f"{size:,} instances after {time.monotonic() - began:.0f} s", flush=True)
        pem = {"eu-central-1": SigningAuthority.make().pem}
        async with (
            aggregator(home, home, authority_pem=pem, checkpoint_seconds=3600, database=database) as server,
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"}) as session,
        ):
            for name, p50, p99 in await _ask_all(session, server.url, size):
                medians.setdefault(name, []).append(p50)
                print(f"  {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)
    for name, found in medians.items():
        print(f"growth from {_ASKED_INSTANCES[0]:,} to {_ASKED_INSTANCES[-1]:,}: {name} {found[-1] / found[0]:.2f}")


async def fill(database: Database, size: int) -> None:
    """Have so many instances say what they run; a tenth of them is judged."""
    house = InProcess(database, SigningAuthority.make())
    await house.ledger.start()
    await speak(house, size)
    for start in range(0, size, 10 * _BATCH):
        events = [
            {
                "subject": {"kind": "instance", "id": name_of(number)}, "account_id": account_of(number),
                "at": "2026-11-22T12:00:00.000Z", "first": [rule.id for rule in RULES],
                "rules": {rule.id: rule.version for rule in RULES},
                "verdicts": [{"rule": rule.id, "version": rule.version, "verdict": "fail" if rule.id == "ticket-missing" else "pass", "reason": "no ticket"} for rule in RULES],
            }
            for number in range(start, min(size, start + 10 * _BATCH), 10)
        ]  # fmt: skip
        async with house.ledger.writing() as writing:
            places = await writing.append([NewEntry(kind="verdict", content=event("verdict", one)) for one in events])
            entries = [(index, one) for (index, _), one in zip(places, events, strict=True)]
            await project_verdicts(writing.transaction, entries)


async def speak(house: InProcess, size: int) -> None:
    """Have so many instances enrol and say what they run; their signatures are not valid."""
    key, signature = new_key(), base64.b64encode(b"s" * 71).decode()
    machines = [_Unsigned(number, key) for number in range(size)]
    await enrol_all(house, machines)  # type: ignore[arg-type]  # the same but for the key
    for start in range(0, size, _BATCH):
        await house.ingest._commit([machine.taken(signature) for machine in machines[start : start + _BATCH]])
        house.clock.advance(0.05)


async def fill_sqlite(path: Path, size: int) -> None:
    """Fill a new file, and leave nothing for the evaluator to do."""
    database = await SqliteDatabase.open(path)
    await fill(database, size)
    await database.close()
    connection = sqlite3.connect(path)
    connection.execute("update instance set judged = ledger_index")
    connection.execute("analyze")
    connection.commit()
    connection.close()


async def fill_postgres(dsn: str, size: int) -> None:
    """Do that with an empty database."""
    database = await PostgresDatabase.open(dsn)
    await fill(database, size)
    await database.pool.execute("update instance set judged = ledger_index", timeout=_UPDATE_SECONDS_MAX)
    await database.pool.execute("vacuum analyze", timeout=_UPDATE_SECONDS_MAX)
    await database.close()


class _Unsigned(Sampled):
    """An instance whose statements have a signature of the right size: what is measured here does not look at it."""

    def enrolment(self, *, identity: str) -> dict[str, object]:
        return {**super().enrolment(identity=identity), "key_id": f"{self.number:064x}"}

    def taken(self, signature: str) -> Verified:
        import hashlib

        import msgspec

        from whence_aggregator.ledger.packing import to_layout
        from whence_aggregator.projections.stated import Stated
        from whence_common.merkle import leaf_hash
        from whence_common.statement import Statement

        predicate = self.predicate()
        payload = base64.b64encode(Statement.of(predicate).to_wire()).decode()
        content = msgspec.json.encode(
            {"payload": payload, "payloadType": "application/vnd.in-toto+json",
             "signatures": [{"sig": signature, "keyid": f"{self.number:064x}"}]}
        )  # fmt: skip
        checked = VerifiedStatement(
            digest=hashlib.sha256(content).digest(), leaf=leaf_hash(content), layout=to_layout(content),
            delta=None, stated=Stated.of(predicate), questions=[],
        )  # fmt: skip
        return verified(self, content, checked)


async def _ask_all(session: aiohttp.ClientSession, url: str, size: int) -> list[tuple[str, float, float]]:
    chance = random.Random(size)

    def ask(path: Callable[[int], str], hits: int | None = None) -> Callable[[], Awaitable[None]]:
        async def once() -> None:
            async with session.get(url + path(chance.randrange(size))) as answer:
                content = await answer.json()
                assert answer.status == 200, content
                assert hits is None or len(content["instances"]) == hits, len(content["instances"])

        return once

    at = "2026-11-23T00:00:00Z"
    questions = {
        "/health": ask(lambda n: "/health"),
        "instance": ask(lambda n: f"/v1/trace?instance={name_of(n)}"),
        "instance at a time": ask(lambda n: f"/v1/trace?instance={name_of(n)}&at={at}"),
        "50 by digest": ask(lambda n: f"/v1/instances?image={image_of(n)}&state=any&limit=100", 50),
        "50 by digest at a time": ask(lambda n: f"/v1/instances?image={image_of(n)}&limit=100&at={at}", 50),
        "50 by commit prefix": ask(lambda n: f"/v1/instances?commit={commit_of(n)[:12]}&state=any&limit=100", 50),
        "500 by application": ask(lambda n: f"/v1/instances?application={application_of(n)}&state=any&limit=500", 500),
        "500 by application at a time": ask(
            lambda n: f"/v1/instances?application={application_of(n)}&limit=500&at={at}", 500
        ),
        "compliance counts": ask(lambda n: "/v1/summary"),
        "lineages of 50 by digest": ask(lambda n: f"/v1/trace?image={image_of(n)}&state=any&limit=50"),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in questions}
    for _ in range(_ASKED_ROUNDS):
        for name, question in questions.items():
            found[name].append(await latency(question))
    return [(name, *map(statistics.median, zip(*each, strict=True))) for name, each in found.items()]


async def latency(question: Callable[[], Awaitable[None]], times: int = _ASKED) -> tuple[float, float]:
    """Ask one at a time, after some that do not count; give the median and the 99th percentile in milliseconds."""
    for _ in range(20):
        await question()
    taken_ms = []
    gc.collect()
    gc.disable()  # what this process made to fill the store must not be looked through while it waits for answers
    for _ in range(times):
        began = time.perf_counter()
        await question()
        taken_ms.append((time.perf_counter() - began) * 1e3)
    gc.enable()
    return statistics.median(taken_ms), statistics.quantiles(taken_ms, n=100)[98]


async def receipts(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print what verifying a receipt costs, in a log of ten thousand entries."""
    database = await SqliteDatabase.open(directory / "ledger.db")
    house = InProcess(database, SigningAuthority.make())
    async with house.running():
        machine = await house.machine()
        told = []
        for _ in range(5_000):
            content = machine.statement()
            told.append((content, (await house.ingest.accept(content)).receipt.encode()))
    policy = Policy(log_keys=[house.signers[0].verifier])
    taken_ms = []
    for content, receipt in random.Random(1).sample(told, 1_000):
        began = time.perf_counter()
        Receipt.parse(receipt).check(content, policy)
        taken_ms.append((time.perf_counter() - began) * 1e3)
    print(
        f"verifying a receipt: p50 {statistics.median(taken_ms):.3f} ms, p99 {statistics.quantiles(taken_ms, n=100)[98]:.3f} ms"
    )
    await database.close()


if __name__ == "__main__":
    asyncio.run(storage(Path(), rounds=1, limit=Path()))
