"""One violation: what breaks which rule, on which instances, what became of it, and what may be done about it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.asking import ApiRefused
from whence_aggregator.console.form_times import to_api_instant, to_field
from whence_aggregator.console.frame import here, part
from whence_aggregator.console.page import Elsewhere, Visit, WebPage
from whence_aggregator.console.refusal import FormRefusal
from whence_aggregator.console.violation_words import (
    heading,
    last_day,
    may_acknowledge,
    may_exempt,
    may_undo,
    scope_words,
    state_sign,
    step_words,
    subject_words,
    who_may,
    with_strip,
)

MEMBERS_PER_PAGE = 25
"""As on the page of instances: each is traced for its strip."""
MEMBERS_PAGES_MAX = 20
"""The API lists at most 500."""
COVERED_SHOWN_MAX = 50
EXEMPTION_DAYS_MAX = 366
_MOMENT = ("at", "known_at")
_OPEN = "open,reopened"
_FIELDS = ("comment", "reason", "until", "scope")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptionPreview:
    """What an exemption would cover now. `named` is the digest of the list, which the confirmation repeats."""

    answer: Mapping[str, Any]
    named: str
    open_of_team: int | None
    """Open violations of the team now, before the exemption."""
    closes: int
    """How many of these it would cover."""
    changed: bool = False
    """Whether the list was another one when it was previewed first."""


async def show_violation(visit: Visit) -> WebPage | Elsewhere:
    """Show a violation, now or at an earlier moment."""
    return await _page(visit)


async def send_violation(visit: Visit) -> WebPage | Elsewhere:
    """Acknowledge, preview, exempt or undo."""
    form, name = visit.form, visit.path["id"]
    do = form.get("do", "")
    try:
        match do:
            case "acknowledge":
                done = await visit.ask.post(_api(name, "acknowledge"), {"comment": form.get("comment", "")})
                return _done(name, done["ledger_index"])
            case "undo":
                undone = await visit.ask.post(_api(name, "undo"), {})
                return _done(name, _newest(undone["violations"], name))
            case "preview":
                return await _page(visit, preview=await _preview(visit))
            case "exempt":
                return await _exempt(visit)
    except ApiRefused as exc:
        shown = "exempt" if do in ("preview", "exempt") else do
        return await _page(visit, refusal=FormRefusal.of(exc, shown))
    return await _page(visit)


async def _exempt(visit: Visit) -> WebPage | Elsewhere:
    """Exempt what was previewed, and nothing else: another list is shown first."""
    name, preview = visit.path["id"], await _preview(visit)
    if preview.named != visit.form.get("named"):
        changed = ExemptionPreview(
            answer=preview.answer, named=preview.named, open_of_team=preview.open_of_team, closes=preview.closes,
            changed=True,
        )  # fmt: skip
        return await _page(visit, preview=changed)
    asked = {**_asked(visit), "covers": preview.answer["covers"]}
    done = await visit.ask.post(_api(name, "exempt"), asked)
    return _done(name, _newest(done["violations"], name))


async def _preview(visit: Visit) -> ExemptionPreview:
    answer = await visit.ask.post(_api(visit.path["id"], "exempt"), {**_asked(visit), "dry_run": True})
    covered = answer["violations"]
    one = next((each for each in covered if each["id"] == visit.path["id"]), None)
    team = one["team"] if one is not None else None
    of_team, closes = None, 0
    if team:
        counts = {"grouped": "true", "team": team, "status": _OPEN, "facets": "true", "limit": "1"}
        found = await visit.ask.find("/v1/violations", counts)
        of_team = sum(found["facets"]["status"].values()) if found is not None else None
        closes = sum(each["team"] == team and each["state"] in _OPEN.split(",") for each in covered)
    named = sha256("\n".join([str(answer["covers"]), *sorted(each["id"] for each in covered)]).encode()).hexdigest()
    return ExemptionPreview(answer=answer, named=named, open_of_team=of_team, closes=closes)


def _asked(visit: Visit) -> dict[str, Any]:
    """Return the exemption that the form asks for: until the end of a day, of the violation's subject or wider."""
    form = visit.form
    until = form.get("until", "")
    asked: dict[str, Any] = {"reason": form.get("reason", ""), "until": f"{until}T23:59:59Z" if until else ""}
    kind, _, value = form.get("scope", "").partition(":")
    return {**asked, "scope": {kind: value}} if kind and value else asked


async def _page(
    visit: Visit, *, preview: ExemptionPreview | None = None, refusal: FormRefusal | None = None
) -> WebPage | Elsewhere:
    name = visit.path["id"]
    given = {key: visit.query[key] for key in _MOMENT if visit.query.get(key)}
    moment = {key: to_api_instant(text) for key, text in given.items()}
    if moment != {key: text for key, text in visit.query.items() if key in _MOMENT}:
        return Elsewhere(path=f"{here('/violations/')}{part(name)}{here('', **moment).removeprefix('/console')}")
    one, rules = await asyncio.gather(
        visit.ask.get(f"/v1/violations/{part(name)}", moment or _links(visit.query.get("page", ""))),
        visit.glance.find("/v1/rules"),
    )
    rule = next((each for each in (rules or {"rules": ()})["rules"] if each["id"] == one["rule"]), None)
    visitor = visit.visitor
    picture, word = state_sign(one)
    values: dict[str, Any] = {
        "one": one, "rule": rule, "picture": picture, "word": word, "heading": heading(one),
        "subject": subject_words(one), "moment": moment,
        "fields": {key: to_field(moment.get(key, "")) for key in _MOMENT},
        "members": _members(one, visit.query.get("page", "")), "done": _step(one, visit.query.get("done", "")),
        "acts": {
            "acknowledge": not moment and may_acknowledge(visitor, one),
            "exempt": not moment and may_exempt(visitor, one),
            "undo": not moment and may_undo(visitor, one),
        },
        "who_may": who_may(one), "preview": preview, "refusal": refusal,
        "typed": {field: visit.form.get(field, "") for field in _FIELDS}, "scopes": _scopes(visit, one),
        "earliest": last_day(visit.now, 0), "latest": last_day(visit.now, EXEMPTION_DAYS_MAX - 1),
        "usual": last_day(visit.now, 14), "shown_max": COVERED_SHOWN_MAX,
        "amount": amount, "step_words": step_words, "scope_words": scope_words, "subject_of": subject_words,
    }  # fmt: skip
    status = refusal.status if refusal is not None else 200
    title = f"{subject_words(one)}: {one['rule']}"
    return WebPage(template="violation.html", title=title, section="violations", values=values, status=status)


def _links(page: str) -> dict[str, str]:
    """Return the parameters that trace the members of a page."""
    return {"links": str(MEMBERS_PER_PAGE), "links_from": str((_page_number(page) - 1) * MEMBERS_PER_PAGE)}


def _page_number(text: str) -> int:
    return max(1, min(int(text), MEMBERS_PAGES_MAX)) if text.isdecimal() and len(text) < 6 else 1


def _members(one: Mapping[str, Any], page: str) -> dict[str, Any] | None:
    """Return a page of the instances; None at an earlier moment, at which they are not known."""
    instances = one["instances"]
    if instances is None:
        return None
    pages = max(1, -(-len(instances) // MEMBERS_PER_PAGE))
    number = min(_page_number(page), pages)
    first = (number - 1) * MEMBERS_PER_PAGE
    causes = [each["caused_by"] for each in instances if each.get("caused_by")]
    reasons = {cause["reason"] for cause in causes}
    unknown = len(reasons) == 1 and all(cause["value"] is None for cause in causes)
    shown = [with_strip(each) for each in instances[first : first + MEMBERS_PER_PAGE]]
    return {
        "shared_cause": next(iter(reasons)) if unknown else None,
        "shown": shown, "first": first + 1, "number": number, "pages": pages,
        "listed": len(instances), "total": max((one["members"] or 0) + (one["not_confirmed"] or 0), len(instances)),
    }  # fmt: skip


def _step(one: Mapping[str, Any], index: str) -> Any | None:
    """Return the step that the visitor took, by its entry; its words come from the ledger, not from the address."""
    return next((each for each in one["steps"] if str(each["ledger_index"]) == index and each["by"]), None)


def _scopes(visit: Visit, one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the scopes that the form offers: the violation's own subject, and wider ones that have it."""
    found = [("", f"this: {subject_words(one)}")]
    application, account, team = one["application_id"], one["account_id"], one["team"]
    if application and one["subject"]["kind"] != "application":
        found.append((f"application:{application}", f"{application}, every version"))
    if account and one["subject"]["kind"] != "account":
        found.append((f"account:{account}", f"account {account}, every subject in it"))
    if team:
        found.append((f"team:{team}", f"team {team}, every subject that it owns"))
    return found


def _api(name: str, step: str) -> str:
    return f"/v1/violations/{part(name)}/{step}"


def _newest(violations: list[Mapping[str, Any]], name: str) -> int | None:
    return next((each["ledger_index"] for each in violations if each["id"] == name), None)


def _done(name: str, index: int | None) -> Elsewhere:
    address = f"{here('/violations/')}{part(name)}"
    return Elsewhere(path=address if index is None else f"{address}?done={index}#done")
