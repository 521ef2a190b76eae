"""One entry of the ledger: what it is, when it was recorded, its text, and its receipt."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.evidence_page import shown_checkpoint
from whence_aggregator.console.page import SavedFile, Visit, WebPage
from whence_common.ledger_entry import STATEMENT_KIND

_INDEX = re.compile(r"(0|[1-9][0-9]{0,14})\Z")
_TEXT_CHARACTERS_MAX = 100_000
"""Of a text that is shown; the whole is saved."""


async def show_entry(visit: Visit) -> WebPage:
    """Show an entry with its receipt, and a verdict judged again if the visitor asks for it."""
    entry = await _entry(visit)
    index, content = int(entry["ledger_index"]), entry["content"]
    replay = None
    if entry["kind"] == "verdict" and visit.query.get("replay") == "true":
        replay = await visit.ask.find(f"/v1/verdicts/{index}/replay")
    _, _, note = str(entry["receipt"]).partition("\n\n")
    text = _pretty(content)
    values = {
        "entry": entry, "index": index, "checkpoint": shown_checkpoint(note), "replay": replay,
        "asked_replay": visit.query.get("replay") == "true", "text": _cut(text),
        "is_cut": len(text) > _TEXT_CHARACTERS_MAX,
        "statement": _cut(_payload(content)) if entry["kind"] == STATEMENT_KIND else "",
        "heading": f"Entry {index:,} of the ledger is {_article(entry['kind'])}",
    }  # fmt: skip
    return WebPage(template="entry.html", title=f"Entry {index:,}", section="evidence", values=values)


async def save_entry(visit: Visit) -> SavedFile:
    """Save the entry's bytes, which its receipt proves; named as `whence verify` finds it beside the receipt."""
    entry = await _entry(visit)
    if entry["content"] is None:
        raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "its text is not shown"}))
    name = f"{str(entry['digest']).removeprefix('sha256:')}.json"
    return SavedFile(name=name, media_type="application/json", content=str(entry["content"]).encode())


async def _entry(visit: Visit) -> Any:
    index = visit.path["index"]
    if not _INDEX.match(index):
        raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "this is not a number"}))
    return await visit.ask.get(f"/v1/log/entries/{index}")


def _article(kind: str) -> str:
    words = str(kind).replace("-", " ")
    return f"{'an' if words[:1] in 'aeio' else 'a'} {words}"


def _pretty(content: str | None) -> str:
    """Return JSON in lines; a text that is not JSON as it is."""
    if content is None:
        return ""
    try:
        return json.dumps(json.loads(content), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return content


def _payload(content: str | None) -> str:
    """Return what a statement's envelope contains; empty if it cannot be read."""
    try:
        envelope = json.loads(content or "")
        encoded = str(envelope["payload"]) if isinstance(envelope, Mapping) else ""
        return _pretty(base64.b64decode(encoded.replace("-", "+").replace("_", "/")).decode("utf-8"))
    except (ValueError, KeyError, RecursionError, binascii.Error):
        return ""


def _cut(text: str) -> str:
    return text[:_TEXT_CHARACTERS_MAX]
