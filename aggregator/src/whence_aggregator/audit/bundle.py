"""Evidence bundles: the entries of a period, with the proofs to check them offline (whence_common.evidence_bundle)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from whence_aggregator.ledger.kinds import EVERY_ACCOUNT
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.log_reader import Stored
from whence_aggregator.ledger.rows import clock_after, packed, period
from whence_aggregator.ports import Database
from whence_aggregator.projections.kinds import KINDS, STATEMENT
from whence_aggregator.queries.agents import ENROLMENT_BY_KEY
from whence_aggregator.queries.ledger import CLOCK_AFTER, CLOCK_RANGE, ClockRangeParameters
from whence_common.clock import parse_instant, to_millis
from whence_common.envelope import Envelope
from whence_common.evidence_bundle import End, Header, Line, Subtree, outside
from whence_common.keys import is_key_id
from whence_common.ledger_entry import kind_of, leaf_data
from whence_common.merkle import leaf_hash
from whence_common.note import Checkpoint, Note
from whence_common.statement import Statement


class Bundles:
    """Makes bundles from the log, line by line."""

    def __init__(self, *, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    async def lines(self, *, account: str | None, since: str, until: str, note: str) -> AsyncIterator[bytes]:
        """Yield the lines of a bundle under a checkpoint, for the period [since, until)."""
        checkpoint = Checkpoint.parse(Note.parse(note.encode()).text)
        first, past = await self._period(since, until, checkpoint.size)
        subtrees = [
            Subtree(height, number, base64.b64encode(await self._node(height, number)).decode("ascii"))
            for height, number in outside(first, past, checkpoint.size)
        ]
        yield _line(
            Header(checkpoint=note, account=account, since=since, until=until, first=first, past=past, outside=subtrees)
        )
        count, introduced = 0, set[str]()
        async for stored in self._ledger.reader.entries(first, past):
            shown = stored.content if stored.content is not None and _concerns(stored, account) else None
            if shown is not None and stored.kind == "statement":
                async for line in self._introduction(shown, introduced, first, checkpoint.size):
                    count += 1
                    yield line
            elif shown is not None and stored.kind == "enrolment":
                introduced.add(str(kind_of(shown)[1].get("key_id")))
            count += 1
            yield _line(await self._entry(stored, shown))
        yield _line(End(entries=count))

    async def _period(self, since: str, until: str, size: int) -> tuple[int, int]:
        """Return the bounds of the entries recorded in a period, from one clock entry to another."""
        bounds: ClockRangeParameters = {
            "since": to_millis(parse_instant(since)), "until": to_millis(parse_instant(until)),
        }  # fmt: skip
        clocks = period(await self._database.fetch(CLOCK_RANGE.bind(bounds)))
        if clocks is None or clocks[0] >= size:
            return 0, 0
        first, last = clocks
        after = clock_after(await self._database.fetch(CLOCK_AFTER.bind({"ledger_index": last})))
        return first, min(size, after if after is not None else size)

    async def _introduction(self, content: bytes, known: set[str], first: int, size: int) -> AsyncIterator[bytes]:
        """Yield the enrolment of a statement's key, when it was before the period."""
        for key, _ in Envelope.parse(content).signatures:
            if key in known:
                return
            if not is_key_id(key):
                continue
            rows = await self._database.fetch(ENROLMENT_BY_KEY.bind({"key_id": bytes.fromhex(key)}))
            enrolment = packed(rows[0]) if rows else None
            if enrolment is not None and enrolment.ledger_index < first:
                known.add(key)
                index = enrolment.ledger_index
                proof = await self._ledger.reader.inclusion(index, size)
                text = self._ledger.reader.content(enrolment).decode("utf-8")
                encoded = [base64.b64encode(one).decode("ascii") for one in proof]
                yield _line(Line(index=index, content=text, proof=encoded))

    async def _entry(self, stored: Stored, shown: bytes | None) -> Line:
        if shown is not None:
            return Line(index=stored.ledger_index, content=shown.decode("utf-8"))
        if stored.content is not None:
            leaf = leaf_hash(leaf_data(stored.content))
        else:
            leaf = await self._node(0, stored.ledger_index)
        return Line(index=stored.ledger_index, leaf=base64.b64encode(leaf).decode("ascii"))

    async def _node(self, height: int, number: int) -> bytes:
        return await self._ledger.reader.node(height, number)


def _concerns(stored: Stored, account: str | None) -> bool:
    """Return whether an entry is shown: its kind must state that it concerns the account."""
    if account is None:
        return True
    content, described = stored.content or b"", KINDS.get(stored.kind)
    if described is None:
        return False
    if stored.kind == STATEMENT:
        facts = Statement.from_wire(Envelope.parse(content).payload).predicate.instance
        stated: Mapping[str, Any] = {"instance": {"account_id": facts.account_id}}
    else:
        stated = kind_of(content)[1]
    return described.account(stated) in (account, EVERY_ACCOUNT)


def _line(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value) + b"\n"
