"""The evidence: what the ledger's checkpoint states, its keys, bundles to save, and verification in the browser."""

from __future__ import annotations

import asyncio
import re

from whence_aggregator.console.form_times import to_api_instant, to_field
from whence_aggregator.console.frame import here
from whence_aggregator.console.ledger_note import LedgerNote, ledger_of
from whence_aggregator.console.page import Elsewhere, SavedAnswer, SavedFile, Visit, WebPage
from whence_aggregator.console.violation_words import last_day
from whence_common.clock import to_instant
from whence_common.log_policy import LogKeys, parse_keys
from whence_common.note import NoteInvalid

PATH = "/evidence"
_INDEX = re.compile(r"(0|[1-9][0-9]{0,14})\Z")
_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_USUAL_DAYS = 7
_BUNDLE_FIELDS = ("from", "to", "account")


async def show_evidence(visit: Visit) -> WebPage | Elsewhere:
    """Show the checkpoint and its keys; lead to an entry by its number or digest."""
    asked = visit.query.get("entry", "").strip()
    wrong = ""
    if asked:
        index = await _index(visit, asked)
        if index is not None:
            return Elsewhere(path=here(f"{PATH}/{index}"))
        wrong = asked
    return await _page(visit, wrong=wrong)


async def save_checkpoint(visit: Visit) -> SavedFile:
    note = await visit.ask.text("/v1/log/checkpoint")
    return SavedFile(name="checkpoint.note", media_type="text/plain", content=note.encode())


async def save_keys(visit: Visit) -> SavedFile:
    keys = await visit.ask.text("/v1/log/keys")
    return SavedFile(name="log.keys", media_type="text/plain", content=keys.encode())


async def save_bundle(visit: Visit) -> SavedAnswer | WebPage:
    """Save every entry of a period with its proof."""
    given = {name: to_api_instant(visit.query[name].strip()) for name in _BUNDLE_FIELDS if visit.query.get(name)}
    since, until = given.get("from", ""), given.get("to", "")
    account = given.get("account", "")
    if not since or not until or since >= until or (account and not _ACCOUNT.match(account)):
        return await _page(visit, wrong_period=True)
    name = "-".join([since[:10], until[:10], *([account] if account else [])])
    return SavedAnswer(name=f"{name}.bundle", path="/v1/bundles", parameters=given)


async def _page(visit: Visit, *, wrong: str = "", wrong_period: bool = False) -> WebPage:
    note, keys = await asyncio.gather(visit.ask.find_text("/v1/log/checkpoint"), visit.ask.find_text("/v1/log/keys"))
    checkpoint, trusted = ledger_of(note), _keys(keys or "")
    usual = {
        "from": f"{last_day(visit.now, -_USUAL_DAYS)}T00:00:00Z",
        "to": f"{last_day(visit.now, 1)}T00:00:00Z",
        "account": "",
    }
    bundle = {name: to_api_instant(visit.query.get(name, usual[name])) for name in _BUNDLE_FIELDS}
    values = {
        "note": note, "keys": keys, "checkpoint": checkpoint, "trusted": trusted, "now": to_instant(visit.now),
        "heading": _heading(checkpoint, is_shown=note is not None),
        "why": _why(checkpoint, is_shown=note is not None), "reads": visit.visitor.reads_user_data,
        "wrong": wrong, "wrong_period": wrong_period,
        "bundle": {**bundle, "from": to_field(bundle["from"]), "to": to_field(bundle["to"])},
    }  # fmt: skip
    status = 400 if wrong or wrong_period else 200
    return WebPage(template="evidence.html", title="Evidence", section="evidence", values=values, status=status)


async def _index(visit: Visit, asked: str) -> int | None:
    """Return the number of an entry that was named by its number, with or without commas, or by its digest."""
    number = asked.replace(",", "")
    if _INDEX.match(number):
        return int(number)
    digest = asked.lower()
    digest = digest if ":" in digest else f"sha256:{digest}"
    found = await visit.ask.find(f"/v1/receipts/{digest}") if _DIGEST.match(digest) else None
    return int(found["ledger_index"]) if found is not None else None


def _keys(text: str) -> LogKeys | None:
    try:
        return parse_keys(text)
    except NoteInvalid:
        return None


def _heading(checkpoint: LedgerNote | None, *, is_shown: bool) -> str:
    if not is_shown:
        return "Evidence that you have can be verified here"
    if checkpoint is None:
        return "The ledger has no checkpoint that can be read"
    number = checkpoint.witnesses
    cosigned = (
        f"cosigned by {number} {'witness' if number == 1 else 'witnesses'}" if number else "cosigned by no witness"
    )
    return f"The ledger of {checkpoint.origin} has {checkpoint.size:,} entries, signed by its key and {cosigned}"


def _why(checkpoint: LedgerNote | None, *, is_shown: bool) -> str:
    if not is_shown:
        return "The ledger has entries of every team, and you may read those of your own teams only."
    if checkpoint is None:
        return "Nothing can be verified without one: ask who operates the aggregator."
    if not checkpoint.witnesses:
        return (
            "This is what the server states, and nothing confirms it: without witnesses, a server can show different "
            "histories to different readers. Verify what you save with a key that you received over a separate channel."
        )
    return (
        "This is what the server states. Whoever changes an entry has to change what its key and the witnesses signed: "
        "verify what you save with keys that you received over a separate channel."
    )
