"""Projections of applications: their revisions, how long each was the newest, the words that find them, hand-overs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from whence_aggregator.ports import Database, Transaction
from whence_aggregator.projections.application_rows import LASTING, Indexed, indexed, scores_now, unindexed
from whence_aggregator.projections.application_words import scores
from whence_aggregator.queries.applications import (
    ADD_APPLICATION_HANDOVER,
    ADD_APPLICATION_REVISION,
    ADD_APPLICATION_SPAN,
    ADD_APPLICATION_WORD,
    APPLICATION_WORDS_NOW,
    APPLICATIONS_UNINDEXED,
    END_APPLICATION_SPAN,
    END_APPLICATION_WORD,
    REMOVE_APPLICATION_SPANS,
    REMOVE_APPLICATION_WORDS,
    AddApplicationHandoverParameters,
    AddApplicationRevisionParameters,
    AddApplicationWordParameters,
    EndApplicationSpanParameters,
    EndApplicationWordParameters,
    RemoveApplicationSpansParameters,
)
from whence_aggregator.queries.compliance import UNJUDGE_APPLICATION, UnjudgeApplicationParameters

_UNINDEXED_MAX = 100
_FIRST_VERSION = ("kio", "tickets")
_BODY = ("kio", "trackers", "repositories", "subject")


async def project_application(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Add a revision of an application that an entry of version 1 states."""
    await _project(transaction, index, event, {name: event[name] for name in _FIRST_VERSION})


async def project_application_v2(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Add a revision of an application with its trackers, its further repositories and the author's subject."""
    await _project(transaction, index, event, {name: event[name] for name in _BODY})


async def _project(transaction: Transaction, index: int, event: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    row: AddApplicationRevisionParameters = {
        "application_id": event["application_id"],
        "revision": event["revision"],
        "recorded_at": event["recorded_at"],
        "recorded_by": event["recorded_by"],
        "body": msgspec.json.encode(body, order="deterministic").decode(),
        "ledger_index": index,
    }
    due: UnjudgeApplicationParameters = {"application_id": event["application_id"]}
    await transaction.execute(ADD_APPLICATION_REVISION.bind([row]), UNJUDGE_APPLICATION.bind([due]))
    await _index(transaction, indexed(index, event, body["kio"]))


async def project_handover(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Add what became of an offer to hand an application over."""
    row: AddApplicationHandoverParameters = {
        "application_id": event["application_id"],
        "ledger_index": index,
        "number": event["number"] if event["number"] is not None else index,
        "action": event["action"],
        "from_team": event["from_team"],
        "to_team": event["to_team"],
        "recorded_at": event["recorded_at"],
        "recorded_by": event["recorded_by"],
        "subject": msgspec.json.encode(event["subject"]).decode(),
        "note": event["note"],
    }
    await transaction.execute(ADD_APPLICATION_HANDOVER.bind([row]))


async def index_applications(database: Database) -> int:
    """Index the revisions that were recorded before there was an index; return their number."""
    total, after = 0, -1
    while True:
        async with database.transaction() as transaction:
            asked = APPLICATIONS_UNINDEXED.bind({"after": after, "limit": _UNINDEXED_MAX})
            found = unindexed(await transaction.fetch(asked))
            for one in found:
                await _index(transaction, one)
        total += len(found)
        if len(found) < _UNINDEXED_MAX:
            return total
        after = found[-1].span["ledger_index"]


async def index_again(transaction: Transaction, application_ids: Collection[str]) -> None:
    """Index the remaining revisions of applications of which some were removed, as a rebuild would."""
    named: list[RemoveApplicationSpansParameters] = [{"application_id": one} for one in sorted(application_ids)]
    await transaction.execute(REMOVE_APPLICATION_SPANS.bind(named), REMOVE_APPLICATION_WORDS.bind(named))
    after = -1
    while found := unindexed(
        await transaction.fetch(APPLICATIONS_UNINDEXED.bind({"after": after, "limit": _UNINDEXED_MAX}))
    ):
        for one in found:
            await _index(transaction, one)
        after = found[-1].span["ledger_index"]


async def _index(transaction: Transaction, revision: Indexed) -> None:
    """End the span and the words of the revision before, and begin those of this one."""
    application_id, index = revision.span["application_id"], revision.span["ledger_index"]
    before = scores_now(await transaction.fetch(APPLICATION_WORDS_NOW.bind({"application_id": application_id})))
    texts = {name: str(revision.kio.get(name) or "") for name in ("name", "subtitle", "description")}
    now = scores({"id": application_id, **texts})
    ended_span: EndApplicationSpanParameters = {"application_id": application_id, "until_index": index}
    ended: list[EndApplicationWordParameters] = [
        {"word": word, "application_id": application_id, "until_index": index}
        for word, score in before.items()
        if now.get(word) != score
    ]
    begun: list[AddApplicationWordParameters] = [
        {
            "word": word,
            "application_id": application_id,
            "ledger_index": index,
            "until_index": LASTING,
            "score": score,
        }
        for word, score in now.items()
        if before.get(word) != score
    ]
    await transaction.execute(
        END_APPLICATION_SPAN.bind([ended_span]),
        ADD_APPLICATION_SPAN.bind([revision.span]),
        END_APPLICATION_WORD.bind(ended),
        ADD_APPLICATION_WORD.bind(begun),
    )
