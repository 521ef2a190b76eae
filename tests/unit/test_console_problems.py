"""Pages for what cannot be shown: what exists is not revealed, and what helps is stated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.console import AUDITOR, NOW, OF_HELLO
from whence_aggregator.console.problem import problem_page
from whence_common.errors import InputError


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_and_an_absence_read_alike_and_reveal_nothing(status: int) -> None:
    error = InputError("team-forbidden", "ada may not read team pay", fix="ask pay")
    page = problem_page(error, status, "c1-7", NOW, visitor=OF_HELLO)
    assert (page.status, page.values["heading"]) == (404, "This is not there, or not for you to see")
    assert (page.values["code"], page.values["request_id"]) == ("not-found", "c1-7")
    assert "pay" not in str({name: value for name, value in page.values.items() if name != "now"})


@pytest.mark.parametrize("status, heading", [(403, "This is not for you to see or to do"), (404, "This is not there")])
def test_who_reads_every_team_learns_why_nothing_is_shown(status: int, heading: str) -> None:
    error = InputError("team-unknown", "team pai is not known", fix="check the spelling")
    page = problem_page(error, status, "c1-7", NOW, visitor=AUDITOR)
    assert (page.status, page.values["heading"], page.values["code"]) == (status, heading, "team-unknown")
    assert (page.values["detail"], page.values["fix"]) == ("team pai is not known", "check the spelling")


@pytest.mark.parametrize("status", [403, 404])
def test_who_is_in_no_team_learns_why_nothing_is_there(status: int) -> None:
    error = InputError("read-own-teams", "nil must name one of its own teams")
    page = problem_page(error, status, "c1-7", NOW, visitor=replace(OF_HELLO, teams=frozenset()))
    assert page.values["fix"] == "You are in no team: ask the owners of your team to list you, then sign in again."


@pytest.mark.parametrize(
    "code, status, heading",
    [
        ("time-before-log", 404, "Nothing is recorded of that time"),
        ("form-foreign", 403, "Not sent"),
        ("body-not-form", 400, "Not sent"),
        ("body-too-large", 413, "Not sent: it is too large"),
        ("method-not-allowed", 405, "This page does not take that"),
        ("parameter-malformed", 400, "This address does not fit what the page can show"),
        ("storage-unavailable", 503, "The answer cannot be read now"),
        ("internal-error", 500, "The server failed"),
    ],
)
def test_an_error_that_reveals_nothing_states_what_happened_and_what_to_do(
    code: str, status: int, heading: str
) -> None:
    page = problem_page(InputError(code, "the reason", fix="the fix"), status, "c1-7", NOW)
    assert (page.status, page.values["heading"]) == (status, heading)
    assert (page.values["detail"], page.values["fix"], page.values["code"]) == ("the reason", "the fix", code)
