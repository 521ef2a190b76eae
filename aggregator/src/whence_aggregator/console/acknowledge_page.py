"""Several violations that were chosen in the list: shown first, then acknowledged with one comment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.asking import ApiRefused
from whence_aggregator.console.frame import here, part
from whence_aggregator.console.page import Elsewhere, Visit, WebPage
from whence_aggregator.console.refusal import FormRefusal
from whence_aggregator.console.violation_words import may_acknowledge, state_sign, subject_words

PATH = "/acknowledge"
CHOSEN_MAX = 100
_READ_AT_ONCE_MAX = 8
_ID = re.compile(r"v-[0-9a-f]{1,40}\Z")
_STOPS = (400, 429, 503)
"""What refuses the comment or the pace, and not one violation: the next would be refused as well."""


async def show_acknowledge(visit: Visit) -> WebPage:
    """Show what was chosen, which the names of the parameters are; nothing is written."""
    return await _page(visit, _chosen(visit.query), {})


async def send_acknowledge(visit: Visit) -> WebPage | Elsewhere:
    """Acknowledge each violation of the form; show those that were refused, each with the reason."""
    chosen, refused = _chosen(visit.form), dict[str, FormRefusal]()
    for name in chosen[:CHOSEN_MAX]:
        try:
            await visit.ask.post(f"/v1/violations/{part(name)}/acknowledge", {"comment": visit.form.get("comment", "")})
        except ApiRefused as exc:
            if exc.answer.status == 404:
                continue
            refused[name] = FormRefusal.of(exc, name)
            if exc.answer.status in _STOPS:
                return await _page(visit, chosen, refused, stopped=refused[name])
    if not refused:
        return Elsewhere(path=here(PATH, **dict.fromkeys(chosen[:CHOSEN_MAX], "on")))
    return await _page(visit, chosen, refused)


def _chosen(fields: Mapping[str, str]) -> Sequence[str]:
    """Return the ids among the names of fields, each of which is a box that was ticked."""
    return [name for name in fields if _ID.match(name)]


async def _page(
    visit: Visit, names: Sequence[str], refused: Mapping[str, FormRefusal], *, stopped: FormRefusal | None = None
) -> WebPage:
    shown = names[:CHOSEN_MAX]
    found = await _read(visit, shown)
    to_do = [one for one in found if may_acknowledge(visit.visitor, one) and (stopped or one["id"] not in refused)]
    done = [one for one in found if one["state"] == "acknowledged"]
    others = [one for one in found if one not in to_do and one not in done]
    values = {
        "heading": _heading(len(names), to_do, done, stopped), "to_do": to_do, "done": done, "others": others,
        "refused": refused, "stopped": stopped, "left_out": len(names) - len(shown), "chosen_max": CHOSEN_MAX,
        "not_found": len(shown) - len(found), "comment": visit.form.get("comment", ""),
        "amount": amount, "subject": subject_words, "sign": state_sign,
    }  # fmt: skip
    status = next((one.status for one in (stopped, *refused.values()) if one is not None), 200)
    return WebPage(template="acknowledge.html", title="Acknowledge", section="violations", values=values, status=status)


def _heading(chosen: int, to_do: Sequence[object], done: Sequence[object], stopped: FormRefusal | None) -> str:
    if not chosen:
        return "No violation was chosen"
    if stopped is not None and not done:
        return "Nothing was acknowledged"
    if to_do and not done:
        return f"{amount(len(to_do), 'violation')} to acknowledge: nothing is written yet"
    return f"{len(done):,} of {amount(chosen, 'chosen violation')} {'is' if len(done) == 1 else 'are'} acknowledged"


async def _read(visit: Visit, names: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Return the violations as they are now, without those that are not there or not for the visitor to see."""
    found: list[Mapping[str, Any] | None] = []
    for first in range(0, len(names), _READ_AT_ONCE_MAX):
        some = names[first : first + _READ_AT_ONCE_MAX]
        found += await asyncio.gather(*(visit.ask.find(f"/v1/violations/{part(name)}") for name in some))
    return [one for one in found if one is not None]
