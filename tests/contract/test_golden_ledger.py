"""Every version of every kind of entry stays readable: a ledger that was written once means the same for ever.

tests/data/ledger-v1.ndjson and those beside it hold the entries of small histories in which each kind is there, as
they were recorded; the files .tables.json what is derived from them. None is ever written again: new kinds, and a new
version of a kind, get files of their own beside them, and so may tables of a later migration (.tables-38.json).
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.auditor import dumped
from fakes.in_process import InProcess
from whence_aggregator.audit.replay import Replay
from whence_aggregator.ledger.log_reader import Stored
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database
from whence_aggregator.projections.kinds import KINDS
from whence_common.ledger_entry import event, type_of

DATA = Path(__file__).parent.parent / "data"
HISTORIES = (
    "ledger-v1", "organisation-v1", "removals-v2", "applications-v2", "versions-v1", "reviews-v1", "layers-v1",
    "verdicts-v2", "cloud-events-v1", "role-sessions-v1", "findings-v1", "violations-v1", "rule-sets-v1", "fullstop-v1", "summary-v1", "reports-v1",
    "account-plans-v1", "credentials-v1", "credential-looks-v1", "credentials-v2", "ami-statements-v1",
)  # fmt: skip
LATER: dict[str, dict[str, object]] = {
    "ledger-v1": {
        "application_span": [
            {"application_id": "greeter", "revision": 1, "ledger_index": 2, "until_index": 4611686018427387904,
             "team_id": "hello", "incident_contact": "", "active": 1, "recorded_at": "2026-11-22T12:00:00.000Z"}
        ],
        "application_word": [
            {"word": "greeter", "application_id": "greeter", "ledger_index": 2, "until_index": 4611686018427387904,
             "score": 1400}
        ],
        "commit_person": [
            {"commit_id": "c" * 40, "repository": "git.example.org/demo/greeter", "person": "a@b", "ledger_index": 14}
        ],
    },
    "reviews-v1": {
        "commit_person": [
            {"commit_id": "c" * 40, "repository": "git.example.org/demo/greeter", "person": "a@b", "ledger_index": 0}
        ],
        "review_name": [
            {"commit_id": "c" * 40, "repository": "git.example.org/demo/greeter", "name": name, "ledger_index": 4}
            for name in ("#12", "ada", "bob")
        ],
    },
}  # fmt: skip
"""What is derived of old entries by tables that came later."""


def entries(history: str) -> list[bytes]:
    return [json.loads(line).encode() for line in (DATA / f"{history}.ndjson").read_bytes().splitlines()]


async def stored(contents: list[bytes]) -> AsyncIterator[Stored]:
    for index, content in enumerate(contents):
        yield Stored(index, type_of(content)[0], content)


async def replayed(database: Database, contents: list[bytes]) -> list[str]:
    """Replay entries into an empty database; return what is wrong with them."""
    wrong: list[str] = []
    async with database.transaction() as transaction:
        replay = Replay(transaction, kinds=KINDS, on_error=lambda index, message: wrong.append(f"{index}: {message}"))
        assert await replay.apply(stored(contents)) == len(contents)
    return wrong


def plain(value: object) -> object:
    """Return a value as JSON has it: bytes as base64."""
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("history", HISTORIES)
async def test_a_recorded_ledger_means_today_what_it_meant_when_it_was_written(
    database: Database, history: str
) -> None:
    assert await replayed(database, entries(history)) == []
    expected: dict[str, object] = {}
    for file in sorted(DATA.glob(f"{history}.tables*.json")):
        expected |= json.loads(file.read_bytes())
    derived = await dumped(database)
    assert plain(derived) == {**{table: [] for table in derived}, **expected, **LATER.get(history, {})}


async def test_an_entry_of_a_newer_version_is_reported_with_what_to_do(database: Database) -> None:
    newer = [event("fact", {"kind": "commit"}, version=2), event("rule-of-2030", {})]
    assert await replayed(database, newer) == [
        "0: its content cannot be used: EntryInvalid: unknown entry fact:v2: use the newer version of this program",
        "1: its content cannot be used: EntryInvalid: unknown entry rule-of-2030:v1: "
        "use the newer version of this program",
    ]


async def test_a_kind_that_no_row_describes_cannot_be_appended(house: InProcess) -> None:
    before = await house.reader.size()
    with pytest.raises(AssertionError, match="entries of kind rule-of-2030 are not in the table of kinds"):
        async with house.ledger.writing() as writing:
            await writing.append([NewEntry(kind="rule-of-2030", content=event("rule-of-2030", {}))])
    assert await house.reader.size() == before
