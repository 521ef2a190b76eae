"""The console's pages of reports: made by a form, held for who made them, and saved as files that never act as pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakes.console import NOW, FakeAsk, answered, shown
from fakes.console_violations import AT, COMPLETE, HOSTILE
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.held_files import BYTES_MAX, HELD_SECONDS, HeldFiles
from whence_aggregator.console.page import Elsewhere, SavedFile, Visit, Visitor
from whence_aggregator.console.report_pages import send_reports, show_report, show_reports
from whence_common.digest import sha256_digest

ADA = Visitor(name="ada", teams=frozenset({"hello"}), rights=frozenset())
FILES = {
    "report.html": "<!doctype html><title>Report</title>", "violations.csv": "id\r\n", "steps.csv": "at\r\n",
    "assessment-results.json": "{}\n",
}  # fmt: skip
DIGESTS = {name: sha256_digest(text.encode()) for name, text in FILES.items()}
HTML = DIGESTS["report.html"]
MADE = {
    "complete": True, "coverage": COMPLETE, "violations": 0, "open_at_end": 0, "findings_open": 0, "verdicts": 3, "files": FILES, "digests": DIGESTS, "ledger_index": 7,
}  # fmt: skip
FORM = {"team": "hello", "account": "", "from": "2026-11-01", "to": "2026-11-27"}


def recorded(**changes: Any) -> dict[str, Any]:
    return {
        "ledger_index": 7, "team": "hello", "account": None, "from": "2026-11-01", "to": "2026-11-27", "made_at": AT,
        "made_by": "ada", "digests": DIGESTS, **changes,
    }  # fmt: skip


def page_of(*reports: dict[str, Any], next_: str | None = None) -> dict[str, Any]:
    return {"reports": list(reports), "next": next_}


def visit(ask: FakeAsk, held: HeldFiles, visitor: Visitor = ADA, **further: Any) -> Visit:
    return Visit(ask=ask, visitor=visitor, now=NOW, held=held, **further)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("<main")[2]))


async def test_reports_are_listed_with_the_digests_of_their_files() -> None:
    page = await shown(show_reports, FakeAsk({"/v1/reports": page_of(recorded(), next_="7")}))
    assert "1 compliance report, the newest first, and more" in page
    assert "team hello, 2026-11-01 to 2026-11-27" in page
    for digest in DIGESTS.values():
        assert digest.removeprefix("sha256:") in page
    assert 'href="/console/evidence/7"' in page
    assert 'href="/console/reports?cursor=7"' in page


async def test_the_form_proposes_the_visitors_team_and_the_last_days() -> None:
    page = await shown(show_reports, FakeAsk({"/v1/reports": page_of()}), visitor=ADA)
    assert "No report was made yet" in page
    assert 'name="team" maxlength="200" value="hello"' in page
    assert 'name="from" type="date" required max="2026-11-27" value="2026-10-28"' in page


async def test_a_report_is_made_and_its_files_are_saved_by_who_made_it() -> None:
    ask = FakeAsk(
        {
            "/v1/reports": ApiAnswer(status=201, document=MADE),
            f"/v1/reports/{HTML}": {"digest": HTML, "reports": [recorded()]},
        }
    )
    held = HeldFiles(now=lambda: NOW)
    made = await send_reports(visit(ask, held, form=FORM))
    assert made == Elsewhere(path=f"/console/reports/{HTML.replace(':', '%3A')}")
    assert "/v1/reports?team=hello&from=2026-11-01&to=2026-11-27" in ask.asked
    for wanted, name in (("html", "report.html"), ("csv", "violations.csv"), ("steps", "steps.csv"), ("oscal", "assessment-results.json")):  # fmt: skip
        saved = await show_report(visit(ask, held, path={"digest": HTML}, query={"format": wanted}))
        assert isinstance(saved, SavedFile)
        assert (saved.name, saved.content) == (f"hello-2026-11-01-2026-11-27-{name}", FILES[name].encode())


async def test_what_one_visitor_made_is_not_saved_by_another() -> None:
    ask = FakeAsk(
        {
            "/v1/reports": ApiAnswer(status=201, document=MADE),
            f"/v1/reports/{HTML}": {"digest": HTML, "reports": [recorded()]},
        }
    )
    held = HeldFiles(now=lambda: NOW)
    await send_reports(visit(ask, held, form=FORM))
    bo = Visitor(name="bo", teams=frozenset({"hello"}), rights=frozenset())
    with pytest.raises(ApiRefused) as caught:
        await show_report(visit(ask, held, bo, path={"digest": HTML}, query={"format": "html"}))
    assert (caught.value.answer.status, caught.value.code) == (410, "report-not-held")


async def test_a_report_that_is_not_held_states_how_to_get_its_files() -> None:
    ask = FakeAsk({f"/v1/reports/{HTML}": {"digest": HTML, "reports": [recorded(), recorded(made_by="bo")]}})
    page = await shown(show_report, ask, path={"digest": HTML})
    assert "Compliance report of team hello, 2026-11-01 to 2026-11-27" in page
    assert text_of(page).count("not held any more") == 4
    assert "Make it again" in page
    assert "by bo" in text_of(page)


async def test_a_digest_in_any_form_leads_to_its_report_and_another_text_is_refused_beside_the_form() -> None:
    ask = FakeAsk({"/v1/reports": page_of()})
    for text in (HTML, HTML.removeprefix("sha256:"), f" {HTML.upper().replace('SHA256', 'sha256')} "):
        assert await shown(show_reports, ask, query={"digest": text}) == f"/console/reports/{HTML.replace(':', '%3A')}"
    page = await answered(show_reports, ask, query={"digest": "nonsense"})
    assert "This is not the digest of a file" in await shown(show_reports, ask, query={"digest": "nonsense"})
    assert getattr(page, "status", 0) == 400
    with pytest.raises(ApiRefused):
        await shown(show_report, ask, path={"digest": "nonsense"})


@pytest.mark.parametrize(
    "status, code", [(400, "report-scope"), (403, "team-forbidden"), (404, "summary-unknown"), (429, "streams-busy")]
)
async def test_a_refused_report_is_explained_and_the_fields_keep_what_was_typed(status: int, code: str) -> None:
    class Refusing(FakeAsk):
        async def post(self, path: str, document: Any, parameters: Any = None) -> Any:
            stated = {"code": code, "detail": "it was refused", "fix": "send team or account"}
            raise ApiRefused(ApiAnswer(status=status, document=stated))

    ask = Refusing({"/v1/reports": page_of()})
    page = await shown(send_reports, ask, form={**FORM, "account": "123456789012"})
    for part in ("it was refused", "send team or account", code, 'value="123456789012"', 'value="2026-11-01"'):
        assert part in page


async def test_hostile_text_in_a_report_is_shown_and_never_run() -> None:
    hostile = recorded(team=HOSTILE, made_by=HOSTILE, digests={**DIGESTS, HOSTILE: HTML})
    for page in (
        await shown(show_reports, FakeAsk({"/v1/reports": page_of(hostile)})),
        await shown(
            show_report,
            FakeAsk({f"/v1/reports/{HTML}": {"digest": HTML, "reports": [hostile]}}),
            path={"digest": HTML},
        ),
    ):
        assert "<script>alert" not in page
        assert "\u202e" not in page


def test_files_are_held_for_a_while_and_for_their_visitor_only() -> None:
    now = [datetime(2026, 11, 27, tzinfo=UTC)]
    held = HeldFiles(now=lambda: now[0])
    assert held.hold("ada", {"sha256:1": b"one"})
    assert held.find("ada", "sha256:1") == b"one"
    assert held.find("bo", "sha256:1") is None
    now[0] += timedelta(seconds=HELD_SECONDS)
    assert held.find("ada", "sha256:1") is None


def test_files_that_are_held_have_a_bound_and_the_oldest_go_first() -> None:
    held, half = HeldFiles(now=lambda: NOW), b"x" * (BYTES_MAX // 2)
    assert not held.hold("ada", {"sha256:0": b"x" * (BYTES_MAX + 1)})
    for number in range(3):
        assert held.hold("ada", {f"sha256:{number}": half})
        assert held.hold("ada", {f"sha256:{number}": half})
    assert [held.find("ada", f"sha256:{number}") is not None for number in range(3)] == [False, True, True]


async def test_who_reads_its_own_teams_only_sees_the_reports_of_its_team() -> None:
    mia = Visitor(name="mia", teams=frozenset({"hello"}), rights=frozenset(), reads_all=False)
    ask = FakeAsk({"/v1/reports": page_of(recorded())})
    await shown(show_reports, ask, visitor=mia)
    assert ask.asked == ["/v1/reports?team=hello"]
