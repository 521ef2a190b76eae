"""The start of the program on a database of an earlier version: tables that came later are derived before it serves."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from contract.test_earlier_silences import judged
from fakes.in_process import ORIGIN, SECRET, InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.adapters.log_files import CheckpointFile
from whence_aggregator.settings.server import Settings, parse_settings
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.audit import check_ledger
from whence_aggregator.wiring.serve import opened_aggregator

SEED = b"l" * 32
EARLIER = (
    "drop table silence; drop table account_plan; drop table derivation_due; drop table mint_application; "
    "drop table mint_generation; drop table mint_log; drop table credential; drop table instance_credential; "
    "drop table credential_change; "
    "drop table ami_statement; drop table ami_package; drop table ami_named; drop table instance_image; drop table instance_package; pragma user_version = 61;"
)
SILENCES = "select instance, ledger_index, at, verdict, silent_since from silence order by instance, ledger_index"


def settings_of(directory: Path, authority: SigningAuthority) -> Settings:
    """Return settings whose files are there: those of the log that `filled` begins."""
    (directory / "tokens").touch(mode=0o600)
    (directory / "heartbeat.secret").write_bytes(SECRET)
    key = base64.b64encode(b"\x01" + SEED).decode()
    (directory / "log.key").write_text(f"PRIVATE+KEY+{ORIGIN}+00000000+{key}\n")
    (directory / "authorities").mkdir()
    (directory / "authorities/eu-central-1.pem").write_bytes(authority.pem)
    text = f"""
audience: https://{ORIGIN}
accounts: ["123456789012"]
database: sqlite://{directory}/ledger.db
heartbeat_secret_file: {directory}/heartbeat.secret
log_key_file: {directory}/log.key
checkpoint_file: {directory}/log.checkpoint
tokens_file: {directory}/tokens
authorities_directory: {directory}/authorities
sts: "off"
"""
    return parse_settings(text.encode(), name="aggregator.yaml")


async def filled(directory: Path, authority: SigningAuthority) -> Sequence[tuple[object, ...]]:
    """Record verdicts about silences, and make the database one of the version before; return the rows that it had."""
    database, keeper = await SqliteDatabase.open(directory / "ledger.db"), CheckpointFile(directory / "log.checkpoint")
    async with InProcess(database, authority, keeper=keeper, seeds=[SEED]).running() as house:
        await judged(house)
    keeper.close()
    await database.close()
    with closing(sqlite3.connect(directory / "ledger.db")) as connection:
        rows = connection.execute(SILENCES).fetchall()
        connection.executescript(EARLIER)
    return rows


async def findings(settings: Settings) -> list[str]:
    outcome = await check_ledger(settings, database_location=None, progress=lambda _: None)
    return [str(one) for one in outcome.findings]


def on(_: int) -> None:
    raise AssertionError("nothing listens in these tests")


async def test_after_the_start_the_check_finds_nothing(tmp_path: Path, authority: SigningAuthority) -> None:
    settings = settings_of(tmp_path, authority)
    rows = await filled(tmp_path, authority)
    assert len(rows) == 8
    for _ in range(2):
        async with opened_aggregator(settings, read=lambda: settings, database_location=None, listening=on):
            with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
                assert connection.execute(SILENCES).fetchall() == rows
                assert connection.execute("select * from derivation_due").fetchall() == []
        assert await findings(settings) == []
