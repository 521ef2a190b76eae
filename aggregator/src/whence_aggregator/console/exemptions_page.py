"""The exemptions that are in force, or were at a time: what each covers, why, until when, and how to end it."""

from __future__ import annotations

import re
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.asking import ApiRefused
from whence_aggregator.console.form_times import to_api_instant, to_field
from whence_aggregator.console.frame import here, part
from whence_aggregator.console.page import Elsewhere, Visit, WebPage
from whence_aggregator.console.refusal import FormRefusal
from whence_aggregator.console.violation_words import may_withdraw, scope_words

PATH = "/exemptions"
_NAME = re.compile(r"e-[0-9a-f]{20}\Z")
_MOMENT = ("at", "known_at")


async def show_exemptions(visit: Visit) -> WebPage | Elsewhere:
    """Show the exemptions, those that end first above."""
    return await _page(visit)


async def send_exemptions(visit: Visit) -> WebPage | Elsewhere:
    """End one: all that it covered is open again."""
    name = visit.form.get("id", "")
    try:
        await visit.ask.post(f"/v1/exemptions/{part(name)}/undo", {})
    except ApiRefused as exc:
        return await _page(visit, refusal=FormRefusal.of(exc, name))
    return Elsewhere(path=here(PATH, done=name))


async def _page(visit: Visit, *, refusal: FormRefusal | None = None) -> WebPage | Elsewhere:
    given = {key: text for key, text in visit.query.items() if key in _MOMENT}
    moment = {key: to_api_instant(text) for key, text in given.items() if text}
    if moment != given:
        return Elsewhere(path=here(PATH, **moment))
    found = await visit.ask.get("/v1/exemptions", moment)
    exemptions = sorted(found["exemptions"], key=lambda one: (one["until"], one["id"]))
    done = visit.query.get("done", "")
    ended = done if _NAME.match(done) and all(one["id"] != done for one in exemptions) else None
    values: dict[str, Any] = {
        "found": found, "exemptions": exemptions, "moment": moment, "ended": ended, "refusal": refusal,
        "fields": {key: to_field(moment.get(key, "")) for key in _MOMENT}, "heading": _heading(exemptions, moment),
        "may_end": {one["id"] for one in exemptions if not moment and may_withdraw(visit.visitor, one)},
        "scope_words": scope_words,
    }  # fmt: skip
    status = refusal.status if refusal is not None else 200
    return WebPage(template="exemptions.html", title="Exemptions", section="violations", values=values, status=status)


def _heading(exemptions: list[Any], moment: dict[str, str]) -> str:
    one, several = ("was", "were") if moment else ("is", "are")
    if not exemptions:
        return f"No exemption {one} in force"
    return f"{amount(len(exemptions), 'exemption')} {one if len(exemptions) == 1 else several} in force"
