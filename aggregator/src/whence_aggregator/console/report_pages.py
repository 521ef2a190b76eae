"""Compliance reports: made of a team or an account, listed by the digests that the ledger records, and saved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.frame import here
from whence_aggregator.console.page import Elsewhere, SavedFile, Visit, WebPage
from whence_aggregator.console.refusal import FormRefusal

PATH = "/reports"
FORMATS: Mapping[str, tuple[str, str, str]] = {
    "html": ("report.html", "text/html", "HTML, to read and to print"),
    "csv": ("violations.csv", "text/csv", "CSV of the violations"),
    "steps": ("steps.csv", "text/csv", "CSV of their steps"),
    "oscal": ("assessment-results.json", "application/json", "OSCAL assessment results"),
}
"""By the format that an address names: the file's name in a report, its type, and its words."""
_FILTERS = ("team", "account")
_FIELDS = ("team", "account", "from", "to")
_USUAL_DAYS = 30
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


async def show_reports(visit: Visit) -> WebPage | Elsewhere:
    """Show the reports that were made, the newest first, and the form that makes one."""
    asked = visit.query.get("digest", "").strip().lower()
    if asked:
        asked = asked if ":" in asked else f"sha256:{asked}"
        if _DIGEST.match(asked):
            return Elsewhere(path=here(f"{PATH}/{asked}"))
    return await _page(visit, wrong_digest=asked)


async def send_reports(visit: Visit) -> WebPage | Elsewhere:
    """Make a report. Its files are held for a while, for the visitor to save."""
    parameters = {name: visit.form[name].strip() for name in _FIELDS if visit.form.get(name, "").strip()}
    try:
        made = await visit.ask.post("/v1/reports", {}, parameters)
    except ApiRefused as exc:
        return await _page(visit, refusal=FormRefusal.of(exc, "report"))
    files = {made["digests"][name]: text.encode() for name, text in made["files"].items()}
    visit.held.hold(visit.visitor.name, files)
    return Elsewhere(path=here(f"{PATH}/{made['digests'][FORMATS['html'][0]]}"))


async def show_report(visit: Visit) -> WebPage | SavedFile:
    """Show who made the reports with a file of this digest; with `format`, save a file of the newest."""
    digest = visit.path["digest"]
    if not _DIGEST.match(digest):
        raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "this is not a digest"}))
    found = await visit.ask.get(f"/v1/reports/{digest}")
    reports = found["reports"]
    wanted = visit.query.get("format", "")
    if wanted:
        return _saved(visit, reports, wanted)
    newest = reports[0]
    values = {
        "digest": digest, "reports": reports, "newest": newest, "about": about(newest), "formats": FORMATS,
        "held": _held(visit, newest), "amount": amount,
    }  # fmt: skip
    title = f"Report of {about(newest)}"
    return WebPage(template="report.html", title=title, section="report", values=values)


def about(report: Mapping[str, Any]) -> str:
    """Return what a report is of, and of when."""
    of = f"team {report['team']}" if report["team"] else f"account {report['account']}"
    return f"{of}, {report['from']} to {report['to']}"


def _held(visit: Visit, report: Mapping[str, Any]) -> dict[str, str]:
    """Return the formats that can be saved now, each with the digest of its file."""
    digests, name = report["digests"], visit.visitor.name
    files = {key: digests[file] for key, (file, _, _) in FORMATS.items() if file in digests}
    return {key: digest for key, digest in files.items() if visit.held.find(name, digest) is not None}


def _saved(visit: Visit, reports: list[Any], wanted: str) -> SavedFile:
    file, media_type, _ = FORMATS.get(wanted, ("", "", ""))
    for one in reports:
        digest = one["digests"].get(file)
        content = visit.held.find(visit.visitor.name, digest) if digest else None
        if content is not None:
            of = one["team"] or one["account"]
            return SavedFile(name=f"{of}-{one['from']}-{one['to']}-{file}", media_type=media_type, content=content)
    gone = {
        "code": "report-not-held",
        "detail": "the files of this report are not held any more: the ledger records their digests only",
        "fix": "make the report again, and save it within a quarter of an hour",
    }
    raise ApiRefused(ApiAnswer(status=410, document=gone))


async def _page(visit: Visit, *, refusal: FormRefusal | None = None, wrong_digest: str = "") -> WebPage | Elsewhere:
    given = {name: visit.query[name].strip() for name in _FILTERS if visit.query.get(name, "").strip()}
    cursor = {"cursor": visit.query["cursor"]} if visit.query.get("cursor") else {}
    found: Any = None
    try:
        found = await visit.ask.get("/v1/reports", {**given, **cursor})
    except ApiRefused as exc:
        refusal = refusal or FormRefusal.of(exc, "filter")
    today = visit.now.date()
    teams = visit.visitor.teams
    usual = {
        "from": (today - timedelta(days=_USUAL_DAYS)).isoformat(), "to": today.isoformat(), "account": "",
        "team": next(iter(teams)) if teams is not None and len(teams) == 1 else "",
    }  # fmt: skip
    reports = found["reports"] if found is not None else []
    values = {
        "reports": reports, "next": found["next"] if found is not None else None, "given": given, "formats": FORMATS,
        "typed": {name: visit.form.get(name, usual[name]) for name in _FIELDS}, "today": today.isoformat(),
        "refusal": refusal, "wrong_digest": wrong_digest, "about": about, "now": visit.now,
        "heading": _heading(reports, given, more=found is not None and found["next"] is not None),
    }  # fmt: skip
    status = refusal.status if refusal is not None else 400 if wrong_digest else 200
    return WebPage(template="reports.html", title="Reports", section="report", values=values, status=status)


def _heading(reports: list[Any], given: Mapping[str, str], *, more: bool) -> str:
    matching = " that match" if given else ""
    if not reports:
        return "No report matches" if given else "No report was made yet"
    return f"{amount(len(reports), 'compliance report')}{matching}, the newest first" + (", and more" if more else "")
