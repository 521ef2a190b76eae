"""The application registry as Kio's clients know it, with a history that Kio never had."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.in_process import ROOT, InProcess
from whence_aggregator.applications.applications import TicketSettings
from whence_aggregator.applications.listing import WantedApplications
from whence_aggregator.callers.caller import Caller
from whence_common.errors import WhenceError

LEAST: dict[str, Any] = {"team_id": "hello", "name": "Greeter", "active": True}


async def refusal(house: InProcess, written: dict[str, Any], *, id_: str = "greeter", caller: Caller = ROOT) -> str:
    with pytest.raises(WhenceError) as caught:
        await house.applications.write(id_, written, caller)
    return caught.value.code


async def test_every_field_comes_back_nulls_too(house: InProcess) -> None:
    await house.register()
    assert await house.applications.read("greeter") == {
        "id": "greeter", "team_id": "hello", "name": "Greeter", "active": True, "subtitle": None, "description": None,
        "service_url": None, "scm_url": None, "documentation_url": None, "specification_url": None,
        "specification_type": None, "support_url": None, "criticality_level": None, "incident_contact": None,
        "publicly_accessible": False, "required_approvers": 2,
        "created": "2026-11-22T12:00:00.000Z", "created_by": "root",
        "last_modified": "2026-11-22T12:00:00.000Z", "last_modified_by": "root",
    }  # fmt: skip


async def test_a_put_merges_and_keeps_who_created_it(house: InProcess) -> None:
    await house.register(scm_url="https://git.example.org/a")
    house.clock.advance(60)
    await house.applications.write("greeter", {**LEAST, "active": False}, Caller(name="ada", teams=None))
    found = await house.applications.read("greeter")
    assert (found["scm_url"], found["active"]) == ("https://git.example.org/a", False)
    assert (found["created_by"], found["last_modified_by"]) == ("root", "ada")
    assert (found["created"], found["last_modified"]) == ("2026-11-22T12:00:00.000Z", "2026-11-22T12:01:00.000Z")


async def test_what_kio_update_sends_back_is_accepted(house: InProcess) -> None:
    await house.register()
    whole = await house.applications.read("greeter")
    for name in ("id", "created", "created_by", "last_modified", "last_modified_by"):
        del whole[name]
    await house.applications.write("greeter", {**whole, "criticality_level": "1"}, ROOT)
    found = await house.applications.read("greeter")
    assert (found["criticality_level"], found["required_approvers"]) == (1, 1)


async def test_what_kio_create_sends_as_text_is_coerced(house: InProcess) -> None:
    await house.applications.write("greeter", {**LEAST, "active": True, "publicly_accessible": "true"}, ROOT)
    assert (await house.applications.read("greeter"))["publicly_accessible"] is True


@pytest.mark.parametrize(
    "change, code",
    [
        ({"id": "x"}, "application-key"),
        ({"created_by": "x"}, "application-key"),
        ({"unheard_of": "x"}, "application-key"),
        ({"name": None}, "application-key-missing"),
        ({"name": 7}, "application-type"),
        ({"active": 1}, "application-type"),
        ({"criticality_level": 5}, "application-type"),
        ({"criticality_level": "many"}, "application-type"),
        ({"criticality_level": True}, "application-type"),
        ({"description": "x" * 70_000}, "application-type"),
        ({"team_id": ""}, "application-team"),
    ],
)
async def test_a_wrong_object_is_refused(house: InProcess, change: dict[str, Any], code: str) -> None:
    assert await refusal(house, {**LEAST, **change}) == code


@pytest.mark.parametrize("id_", ["x", "Greeter", "a_b", "-a", "a" * 121, "a/b"])
async def test_a_wrong_id_is_refused(house: InProcess, id_: str) -> None:
    assert await refusal(house, LEAST, id_=id_) == "application-id-malformed"


async def test_only_the_owning_team_writes(house: InProcess) -> None:
    await house.register()
    other = Caller(name="eve", teams=frozenset({"other"}))
    assert await refusal(house, {**LEAST, "team_id": "other"}, caller=other) == "team-forbidden"
    owner = Caller(name="ada", teams=frozenset({"hello"}))
    await house.applications.write("greeter", {**LEAST, "name": "Hello"}, owner)
    assert (await house.applications.read("greeter"))["name"] == "Hello"


async def test_kio_gives_no_application_away_without_the_receiving_teams_consent(house: InProcess) -> None:
    """A client of Kio takes 200 as done, so an offer in its place would be a wrong answer."""
    await house.register()
    owner = Caller(name="ada", teams=frozenset({"hello"}))
    with pytest.raises(WhenceError) as caught:
        await house.applications.write("greeter", {**LEAST, "team_id": "other"}, owner)
    assert caught.value.code == "handover-needs-consent"
    assert "POST /v1/applications/greeter/handover" in caught.value.fix
    assert (await house.applications.read("greeter"))["team_id"] == "hello"
    both = Caller(name="ada", teams=frozenset({"hello", "other"}))
    await house.applications.write("greeter", {**LEAST, "team_id": "other"}, both)
    assert (await house.applications.read("greeter"))["team_id"] == "other"


async def test_a_new_or_changed_team_must_exist(house: InProcess) -> None:
    await house.register()
    house.team_lookup.known = frozenset({"other"})
    await house.applications.write("greeter", {**LEAST, "name": "Hello"}, ROOT)
    assert await refusal(house, {**LEAST, "team_id": "gone"}) == "application-team"
    assert await refusal(house, LEAST, id_="new") == "application-team"
    await house.applications.write("greeter", {**LEAST, "team_id": "other"}, ROOT)


async def listed(house: InProcess) -> list[dict[str, Any]]:
    return [one async for page in house.application_lists.pages(WantedApplications()) for one in page]


async def test_the_list_is_in_order_and_empty_is_a_list(house: InProcess) -> None:
    assert await listed(house) == []
    for id_ in ("zeta", "alpha"):
        await house.register(id_)
    assert [one["id"] for one in await listed(house)] == ["alpha", "zeta"]


async def test_an_unknown_application_is_not_found(house: InProcess) -> None:
    for name in ("nobody", "\x00", "x" * 5000):
        with pytest.raises(WhenceError) as caught:
            await house.applications.read(name)
        assert caught.value.code == "application-unknown"


@pytest.mark.parametrize(
    "patterns, url, code",
    [
        ([], None, "ticket-patterns"),
        (["x"] * 21, None, "ticket-patterns"),
        (["PAY"], None, "ticket-pattern-invalid"),
        (["(a+)+{number}"], None, "ticket-pattern-invalid"),
        (["{number}{number}"], None, "ticket-pattern-invalid"),
        (["{other}{number}"], None, "ticket-pattern-invalid"),
        (["PAY-{number}"], "https://x", "ticket-url"),
        (["PAY-{number}"], "javascript:{ticket}", "ticket-url"),
    ],
)
async def test_wrong_ticket_settings_are_refused(
    house: InProcess, patterns: list[str], url: str | None, code: str
) -> None:
    await house.register()
    with pytest.raises(WhenceError) as caught:
        await house.applications.write_tickets("greeter", TicketSettings(patterns=patterns, url=url), ROOT)
    assert caught.value.code == code


async def test_each_revision_is_a_ledger_entry(house: InProcess) -> None:
    await house.register()
    await house.register(name="Other")
    assert len(await house.entries("application")) == 2
