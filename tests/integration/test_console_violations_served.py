"""The console of a real aggregator: a violation is acknowledged, exempted and undone by forms, and evidence is saved and verified."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape

import pytest

from fakes.signing_authority import SigningAuthority
from landscape.node_verify import ChosenFiles, verified
from landscape.violations_served import Served, Visited, violations_served
from whence_common.clock import utc_now


@pytest.fixture(scope="module")
async def served(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with violations_served(authority, tmp_path_factory.mktemp("console-violations")) as one:
        yield one


def shown(page: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("<main")[2])))


async def _violation(visited: Visited) -> str:
    """Return the address of the violation of boot-failed, found as a person finds it."""
    _, page = await visited.get("/console/violations", rule="boot-failed")
    found = re.search(r'href="(/console/violations/v-[0-9a-f]{20})"', page)
    assert found is not None
    return found[1]


async def test_a_violation_is_acknowledged_exempted_as_previewed_and_undone(served: Served) -> None:
    async with served.visit("ada") as visited:
        address = await _violation(visited)
        _, page = await visited.get(address)
        assert "greeter 1.0 breaks the rule boot-failed on 3 instances" in page

        status, page = await visited.send(address, page, do="acknowledge", comment="we correct the user data")
        assert status == 200
        assert "Acknowledged by ada" in shown(page)
        assert "we correct the user data. Recorded as entry" in shown(page)

        until = (utc_now() + timedelta(days=3)).date().isoformat()
        form = {"reason": "replaced on Monday", "until": until, "scope": ""}
        status, page = await visited.send(address, page, do="preview", **form)
        assert status == 200
        assert "Preview: nothing is written yet" in shown(page)
        assert "Exempts 1 violation now" in shown(page)
        assert (await served.server.get("/v1/exemptions"))["exemptions"] == []

        named = re.search(r'name="named" value="([0-9a-f]{64})"', page)
        assert named is not None
        status, page = await visited.send(address, page, do="exempt", named=named[1], **form)
        assert status == 200
        assert "Exempted by ada" in shown(page)
        _, page = await visited.get("/console/exemptions")
        assert "1 exemption is in force" in page
        assert "replaced on Monday" in page

        _, page = await visited.get(address)
        status, page = await visited.send(address, page, do="undo")
        assert "Exemption ended by ada" in shown(page)
        assert (await served.server.get("/v1/exemptions"))["exemptions"] == []


async def test_an_exemption_is_ended_from_the_list(served: Served) -> None:
    async with served.visit("ada") as visited:
        address = await _violation(visited)
        _, page = await visited.get(address)
        form = {"reason": "replaced soon", "until": (utc_now() + timedelta(days=2)).date().isoformat(), "scope": ""}
        _, page = await visited.send(address, page, do="preview", **form)
        named = re.search(r'name="named" value="([0-9a-f]{64})"', page)
        assert named is not None
        await visited.send(address, page, do="exempt", named=named[1], **form)
        _, page = await visited.get("/console/exemptions")
        found = re.search(r'name="id" value="(e-[0-9a-f]{20})"', page)
        assert found is not None
        status, page = await visited.send("/console/exemptions", page, id=found[1])
        assert status == 200
        assert "is not in force: what it covered is open again" in shown(page)


async def test_refusals_stand_beside_the_form_and_what_was_typed_stays(served: Served) -> None:
    async with served.visit("ada") as visited:
        address = await _violation(visited)
        _, page = await visited.get(address)
        form = {"reason": "what I typed", "until": "2999-01-01", "scope": ""}
        status, page = await visited.send(address, page, do="preview", **form)
        assert status == 400
        assert "until must be later than now, and at most 366 days from now" in page
        assert ">what I typed</textarea>" in page
        assert 'value="2999-01-01"' in page


async def test_who_may_not_act_is_offered_nothing_and_refused(served: Served) -> None:
    async with served.visit("reader") as visited:
        address = await _violation(visited)
        _, page = await visited.get(address)
        assert 'name="do"' not in page
        assert "Team platform acknowledges it" in page
        status, page = await visited.send(address, page, do="acknowledge", comment="mine")
        assert status == 403
        assert "reader may not acknowledge a violation of team platform" in page


async def test_a_moment_before_the_log_and_one_to_come_are_refused_with_the_reason(served: Served) -> None:
    async with served.visit("reader") as visited:
        status, page = await visited.get("/console/violations", at="2026-01-01")
        assert status == 404
        assert "Nothing is recorded of that time" in page
        status, page = await visited.get("/console/violations", at="2999-01-01")
        assert status == 400
        assert "What to do" in page


@pytest.mark.parametrize(
    "query",
    [
        {"severity": "2", "status": "any", "sort": "-since"}, {"instance": "i-00000000000000001"}, {"verdict": "fail"},
        {"application": "greeter", "version": "1.0", "kind": "version"}, {"account": "123456789012"},
        {"region": "eu-central-1", "team": "platform"}, {"since": "2026-01-01", "until": "2999-01-01"},
    ],
)  # fmt: skip
async def test_every_filter_is_applied_by_the_api(served: Served, query: dict[str, str]) -> None:
    async with served.visit("reader") as visited:
        status, page = await visited.get("/console/violations", **query)
        assert status == 200
        assert "boot-failed" in page.partition('aria-label="Violations"')[2]


async def test_the_list_is_saved_as_csv(served: Served) -> None:
    async with served.visit("reader") as visited:
        content, headers = await visited.save("/console/violations.csv", rule="boot-failed")
        assert content.startswith(b"id,state,severity,rule,")
        assert headers["Content-Disposition"] == 'attachment; filename="violations.csv"'
        assert headers["Content-Type"] == "text/csv; charset=utf-8"


async def test_rules_are_shown_with_what_they_judged(served: Served) -> None:
    async with served.visit("reader") as visited:
        status, page = await visited.get("/console/rules")
        assert (status, "rules in force fail for some subject" in page) == (200, True)
        status, page = await visited.get("/console/rules/boot-failed")
        assert "The rule boot-failed passes for 0 of 3, fails for 3 and is unknown for 0" in page
        assert (await visited.get("/console/rules/nothing"))[0] == 404


async def test_a_report_is_made_and_saved_and_never_acts_as_a_page(served: Served) -> None:
    async with served.visit("ada") as visited:
        _, page = await visited.get("/console/reports")
        today = utc_now().date().isoformat()
        form = {"team": "platform", "account": "", "from": "2026-11-01", "to": today}
        status, page = await visited.send("/console/reports", page, **form)
        assert status == 200
        assert f"Compliance report of team platform, 2026-11-01 to {today}" in page
        links = re.findall(r'href="(/console/reports/[^"]*\?format=\w+)"', page)
        assert len(links) == 4
        content, headers = await visited.save(unescape(links[0]))
        assert b"<h1>Compliance report: " in content
        assert headers["Content-Disposition"].startswith('attachment; filename="platform-2026-11-01-')
        assert headers["Content-Security-Policy"].endswith("; sandbox")
        assert headers["X-Content-Type-Options"] == "nosniff"
        _, page = await visited.get("/console/reports")
        assert "team platform" in page
        status, page = await visited.send("/console/reports", page, **{**form, "team": ""})
        assert status == 400
        assert "a report is about one team or one account" in page


async def test_a_receipt_and_its_entry_are_saved_and_verified_in_the_browser(served: Served) -> None:
    async with served.visit("ada") as visited:
        async with visited.session.get("/console/evidence", params={"entry": served.digest}) as answer:
            path, page = answer.url.path, await answer.text()
        assert re.fullmatch(r"/console/evidence/[0-9]+", path)
        assert "is a statement" in page
        entry, headers = await visited.save(path.replace("/evidence/", "/files/entries/"))
        assert headers["Content-Security-Policy"].endswith("; sandbox")
        receipt, _ = await visited.save(path.replace("/evidence/", "/receipts/"))
        keys, _ = await visited.save("/console/files/keys")
        (found,) = verified(ChosenFiles(files=[entry, receipt], keys=keys.decode()))
        assert (found["verdict"], found["fault"]) == ("pass", None)


async def test_a_bundle_is_passed_on_as_it_is_sent_and_verified_in_the_browser(served: Served) -> None:
    async with served.visit("ada") as visited:
        query = {"from": "2020-01-01T00:00", "to": "2100-01-01T00:00"}
        async with visited.session.head("/console/files/bundle", params=query) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        content, headers = await visited.save("/console/files/bundle", **query)
        assert headers["Content-Disposition"] == 'attachment; filename="2020-01-01-2100-01-01.bundle"'
        assert headers["Content-Security-Policy"].endswith("; sandbox")
        keys, _ = await visited.save("/console/files/keys")
        (found,) = verified(ChosenFiles(files=[content], keys=keys.decode()))
        assert (found["verdict"], found["fault"]) == ("pass", None)
        assert (await visited.get("/console/files/bundle", **{**query, "to": "2019-01-01T00:00"}))[0] == 400


async def test_who_may_not_read_user_data_sees_no_text_of_entries_and_saves_no_bundle(served: Served) -> None:
    async with served.visit("reader") as visited:
        status, page = await visited.get("/console/evidence", entry=served.digest)
        assert status == 200
        assert "Entries contain user data" in page
        assert "c2sp.org/tlog-proof@v1" in page
        assert "Save the entry" not in page
        status, page = await visited.get("/console/files/bundle", **{"from": "2026-01-01", "to": "2026-12-01"})
        assert status == 403
        status, page = await visited.get("/console/evidence")
        assert "A bundle contains user data" in page


async def test_scripts_import_each_other_below_one_address(served: Served) -> None:
    async with served.visit("reader") as visited:
        _, page = await visited.get("/console/evidence")
        found = re.search(r'<script type="module" src="(/console/assets/[0-9a-f]{16}/)verify-page\.js">', page)
        assert found is not None
        wanted, seen = ["verify-page.js"], set[str]()
        while wanted:
            name = wanted.pop()
            seen.add(name)
            content, headers = await visited.save(found[1] + name)
            assert headers["Content-Type"].startswith("text/javascript")
            wanted += set(re.findall(r'from "\./([a-z-]+\.js)"', content.decode())) - seen
        assert seen == {"verify-page.js", "verify.js", "bundles.js", "bytes.js", "merkle.js", "notes.js", "receipts.js"}


async def test_an_entry_that_is_not_there_is_a_page_that_states_it(served: Served) -> None:
    async with served.visit("reader") as visited:
        for path in ("/console/evidence/999999999", "/console/evidence/x", "/console/evidence/-1"):
            status, page = await visited.get(path)
            assert (status, "This is not there" in page) == (404, True)
        status, page = await visited.get("/console/evidence", entry="nonsense")
        assert (status, "No entry is found by this." in page) == (400, True)
