"""Tickets of Jira, Cloud and Server, and of a tracker by a template: found, missing, forbidden and moved ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.jira_host import AT, JiraHost
from fakes.outside import OutsideHost, answering
from fakes.outside_client import outside_client
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.jira import JiraReader
from whence_aggregator.trackers.readers import TicketFinding
from whence_aggregator.trackers.template import TemplateReader, TicketTemplate
from whence_common.errors import InputError

INSTANT = "2026-11-20T10:00:00.000Z"


@asynccontextmanager
async def reader(host: JiraHost, directory: Path, *, login: str = "robot@example.org:t1") -> AsyncIterator[JiraReader]:
    async with host.serve(), outside_client(host, directory, login=login, kind="jira-cloud") as client:
        version: Any = host.version
        yield JiraReader(
            client.source, host="jira.example.org", version=version, browse_url="https://jira.example.org/"
        )


async def read(host: JiraHost, directory: Path, ticket_id: str = "PAY-7") -> TicketFinding:
    async with reader(host, directory) as one:
        return await one.ticket(ticket_id)


@pytest.mark.parametrize("version", [2, 3])
async def test_an_issue_has_its_title_status_assignee_parent_and_closed_time(version: int, tmp_path: Path) -> None:
    host = JiraHost(version=version)
    host.issue("PAY-7", category="done", status="Released", resolved=AT)
    found = await read(host, tmp_path)
    assert found.ticket is not None
    assert found.ticket.to_wire() == {
        "id": "PAY-7", "project": "PAY", "title": "Let customers pay", "status": "Released", "closed": True,
        "assignee": "Bob", "type": "Story", "parent": "PAY-1", "closed_at": INSTANT, "created_at": INSTANT,
        "url": "https://jira.example.org/browse/PAY-7", "outcome": "Done", "internal": "10042",
    }  # fmt: skip
    assert host.paths == [f"/rest/api/{version}/issue/PAY-7"]


async def test_a_moved_issue_is_returned_under_its_new_key_without_a_redirect(tmp_path: Path) -> None:
    host = JiraHost()
    host.issue("SHOP-3", asked="PAY-7")
    found = await read(host, tmp_path)
    assert found.ticket is not None
    assert (found.ticket.id, found.ticket.project, found.ticket.internal) == ("SHOP-3", "SHOP", "10042")


async def test_a_reopened_issue_is_not_closed_though_it_was_resolved_once(tmp_path: Path) -> None:
    host = JiraHost()
    host.issue("PAY-7", category="indeterminate", resolved=AT)
    found = await read(host, tmp_path)
    assert found.ticket is not None
    assert (found.ticket.closed, found.ticket.closed_at) == (False, "")


async def test_a_missing_issue_is_told_apart_from_a_project_that_is_hidden(tmp_path: Path) -> None:
    host = JiraHost()
    async with reader(host, tmp_path) as one:
        missing = await one.ticket("PAY-7")
        forbidden = await one.ticket("SECRET-7")
    assert (missing.problem, missing.reason) == (
        "missing",
        "jira.example.org has no issue PAY-7 that this login may read",
    )
    assert (forbidden.problem, forbidden.reason) == (
        "forbidden", "jira.example.org does not let this login read the project SECRET, or it does not exist",
    )  # fmt: skip


async def test_a_404_is_unknown_while_jira_does_not_know_the_login(tmp_path: Path) -> None:
    """There are reports of 404 for wrong logins."""
    host = JiraHost()
    host.answers[host.at("/myself")] = {}
    with pytest.raises(SourceUnavailable, match="names nobody"):
        await read(host, tmp_path)


async def test_a_wrong_login_is_refused_and_no_ticket_is_missing(tmp_path: Path) -> None:
    host = JiraHost(password="other")
    with pytest.raises(SourceUnavailable, match="does not accept the login"):
        await read(host, tmp_path)


@pytest.mark.parametrize("body", ["{}", "[]", '{"key": "PAY-7"}', '{"key": 7, "fields": {}}', "null",
                                  '{"key": "../x", "fields": {}}'])  # fmt: skip
async def test_an_answer_that_is_no_issue_is_no_ticket(body: str, tmp_path: Path) -> None:
    host = JiraHost(faults=[answering(200, body)])
    with pytest.raises(SourceUnavailable, match="is not an issue of Jira"):
        await read(host, tmp_path)


async def test_html_and_control_characters_in_a_ticket_are_one_bounded_line(tmp_path: Path) -> None:
    host = JiraHost()
    host.issue("PAY-7", summary="<script>\x1b[31m\x00alert(1)</script>\n" + "x" * 5_000)
    found = await read(host, tmp_path)
    assert found.ticket is not None
    assert found.ticket.title.startswith("<script> [31m alert(1)</script> xxx")
    assert (len(found.ticket.title), found.ticket.title.isprintable()) == (300, True)


@pytest.mark.parametrize("wrong", ["PAY", "PAY-0", "7", "PAY-7/../../myself", "PAY-7?expand=x", "PAY-7 ", "-PAY-7", ""])
async def test_what_is_no_key_sends_nothing(wrong: str, tmp_path: Path) -> None:
    host = JiraHost()
    with pytest.raises(InputError, match="is not the key of an issue"):
        await read(host, tmp_path, wrong)
    assert host.asked == []


# --- by a template

TEMPLATE = TicketTemplate(
    path="/api/issues/{number}?fields=all", page_url="https://tracker.example.org/{ticket}",
    fields={"title": "data.attributes.title", "status": "data.attributes.status.name", "id": "data.id",
            "assignee": "people.0.name", "closed_at": "data.closed", "type": "data.type"},
    closed_states=["resolved"],
)  # fmt: skip


async def by_template(host: OutsideHost, directory: Path, ticket_id: str = "issue42") -> TicketFinding:
    async with host.serve(), outside_client(host, directory, kind="template") as client:
        return await TemplateReader(client.source, host="tracker.example.org", template=TEMPLATE).ticket(ticket_id)


async def test_members_are_found_by_their_paths(tmp_path: Path) -> None:
    document = {"data": {"id": "42", "type": "bug", "closed": "2026-11-20T11:00:00+01:00",
                         "attributes": {"title": "Pay", "status": {"name": "Resolved"}}},
                "people": [{"name": "bob"}]}  # fmt: skip
    found = await by_template(OutsideHost(answers={"/api/issues/42": document}), tmp_path)
    assert found.ticket is not None
    assert found.ticket.to_wire() == {
        "id": "issue42", "project": "issue", "title": "Pay", "status": "Resolved", "closed": True, "assignee": "bob",
        "type": "bug", "parent": "", "closed_at": INSTANT, "created_at": "", "outcome": "", "internal": "42",
        "url": "https://tracker.example.org/issue42",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (404, "{}", "missing"), (410, "{}", "missing"), (403, "{}", "forbidden"), (200, "{}", "missing"),
        (200, "[]", "missing"), (200, "7", "missing"), (200, '{"data": []}', "missing"),
        (200, '{"data": {"attributes": {"title": ["x"], "status": null}}}', "missing"),
    ],
)  # fmt: skip
async def test_an_answer_without_title_and_status_is_no_ticket(
    status: int, body: str, problem: str, tmp_path: Path
) -> None:
    found = await by_template(OutsideHost(faults=[answering(status, body)]), tmp_path)
    assert (found.ticket, found.problem) == (None, problem)


@pytest.mark.parametrize("ticket_id", ["../admin#7", "a/b/../../7", "./7", "x/..7/../7"])
async def test_a_tickets_id_with_steps_upwards_sends_nothing_even_quoted(ticket_id: str, tmp_path: Path) -> None:
    host = OutsideHost()
    with pytest.raises(InputError, match="is not the id of a ticket, but a way to one"):
        await by_template(host, tmp_path, ticket_id)
    assert host.asked == []


@pytest.mark.parametrize("ticket_id", ["../admin#7", "a/b/../../7", "x?y=7", "#7"])
async def test_a_tickets_id_cannot_change_the_path_of_a_template(ticket_id: str, tmp_path: Path) -> None:
    host = OutsideHost(answers={"/api/issues/7": {"data": {"attributes": {"title": "x"}}}})
    try:
        await by_template(host, tmp_path, ticket_id)
    except InputError:
        assert host.asked == []
    else:
        assert host.paths == ["/api/issues/7"]
