"""An auditor of a house: checks its ledger, fetches its evidence and verifies that, as the programs do."""

from __future__ import annotations

from pathlib import Path

from fakes.in_process import InProcess
from whence_aggregator.audit.bundle import Bundles
from whence_aggregator.audit.check import AuditOutcome, Check
from whence_aggregator.ports import Database
from whence_aggregator.projections.derived_tables import TABLES
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.evidence_bundle import Report, check
from whence_common.identity_document import Authorities
from whence_common.log_policy import Policy


def policy(house: InProcess) -> Policy:
    return Policy(log_keys=[one.verifier for one in house.signers])


def authorities(house: InProcess) -> Authorities:
    return Authorities.from_pem({"eu-central-1": house.authority.pem})


async def checked(house: InProcess, tmp_path: Path) -> AuditOutcome:
    file = tmp_path / f"scratch-{len(list(tmp_path.glob('scratch-*')))}.db"
    scratch = await SqliteDatabase.open(file)
    try:
        return await Check(
            database=house.database, reader=house.reader, scratch=scratch, policy=policy(house),
            authorities=authorities(house), sightings=house.sightings, kept_note=house.keeper.load(),
            progress=lambda said: None,
        ).run()  # fmt: skip
    finally:
        await scratch.close()


async def dumped(database: Database) -> dict[str, list[dict[str, object]]]:
    """Give what is derived from the log."""
    found = {}
    for dump in (dump for one in TABLES for dump in one.dumps):
        rows = await database.fetch(dump.bind({"limit": 10_000, "offset": 0}))
        found[dump.name.removeprefix("dump_")] = [dict(row) for row in rows]
    return found


async def bundle(house: InProcess, account: str | None = None) -> list[bytes]:
    bundles = Bundles(database=house.database, ledger=house.ledger)
    period = {"since": "2026-11-22T00:00:00Z", "until": "2026-11-23T00:00:00Z"}
    return [line async for line in bundles.lines(account=account, **period, note=house.ledger.note)]


def report(house: InProcess, lines: list[bytes]) -> Report:
    return check(lines, policy(house), authorities(house))
