"""The search for applications: one answer on every database, in one order, now and at a time in the past."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.in_process import ROOT, InProcess
from fakes.many_applications import register_many
from whence_aggregator.applications.listing import WantedApplications
from whence_aggregator.applications.search import Sought
from whence_aggregator.projections.applications import index_applications
from whence_aggregator.queries.audit import CLEAR_APPLICATION_SPAN, CLEAR_APPLICATION_WORD

APPLICATIONS: dict[str, dict[str, Any]] = {
    "payment-api": {"name": "Payment API", "subtitle": "Takes payments", "description": "Processes card payments."},
    "payment": {"name": "Payments", "description": "The core of payment", "team_id": "other"},
    "ledger": {"name": "Ledger", "subtitle": "Books payment", "description": "x", "active": False},
    "greeter": {"name": "Greeter", "description": "Greets <everybody> before a payment & after"},
    "cafe": {"name": "Café Müller", "description": "foo-bar.com and P-8A"},
    "it-tools": {"name": "Tools of IT"},
}


async def filled(house: InProcess) -> None:
    for id_, fields in APPLICATIONS.items():
        await house.register(id_, **{"name": id_, **fields})


async def found(house: InProcess, search: str, **filters: Any) -> list[str]:
    wanted = WantedApplications(sought=Sought.parse(search), **filters)
    return [one["id"] async for page in house.application_lists.pages(wanted) for one in page]


async def test_the_same_documents_and_queries_have_the_same_hits_in_the_same_order_on_every_database(
    house: InProcess,
) -> None:
    await filled(house)
    expected = {
        "payment": ["payment", "payment-api", "ledger", "greeter"],
        "payments": ["payment-api", "payment", "ledger", "greeter"],
        "PAYMENT API": ["payment-api"],
        "payment-api": ["payment-api"],
        "pay": ["payment-api", "payment", "ledger", "greeter"],
        "pa": [],
        "processing": ["payment-api"],
        "card processed": ["payment-api"],
        "card greets": [],
        "foo bar": ["cafe"],
        "foo-bar.com": ["cafe"],
        "p-8a": ["cafe"],
        "8a": ["cafe"],
        "cafe muller": ["cafe"],
        "CAFÉ": ["cafe"],
        "the payment of the core": ["payment"],
        "it": ["it-tools"],
        "everybody": ["greeter"],
    }
    assert {query: await found(house, query) for query in expected} == expected


async def test_the_index_in_memory_finds_what_the_database_finds(house: InProcess) -> None:
    """The present is searched in memory, the past in the database."""
    await register_many(house, 60, words=12)
    await filled(house)
    house.clock.advance(60)
    for number in range(0, 60, 7):
        await house.register(f"app-{number:05d}", name="Payment services", description="order")
    house.clock.advance(60)
    queries = [
        "app",
        "payment",
        "payment service",
        "pay ord",
        "app-00007",
        "greets",
        "customer",
        "ser",
        "it",
        "b",
        "a1",
    ]
    for query in queries:
        sought = Sought.parse(query)
        for filters in ({}, {"team": "hello"}, {"active": True}):
            now = [one async for page in house.application_lists.pages(
                WantedApplications(sought=sought, **filters)) for one in page]  # fmt: skip
            then = [one async for page in house.application_lists.pages(
                WantedApplications(sought=sought, at="2026-11-22T12:01:30.000Z", **filters)) for one in page]  # fmt: skip
            assert now == then, (query, filters)


@pytest.mark.parametrize(
    "query",
    [
        "!!!", "'", '"', "payment' or 1=1 --", "payment & !ledger", "payment:* | x", "NEAR(payment ledger)", "id:payment",
        "(payment", "%", "_", "*", "pay*", "\\", "<->", "payment\u0000"[:7] + "\u2028", "ﷺ" * 20, "𝔓ayment",
    ],
)  # fmt: skip
async def test_nothing_in_a_query_is_syntax(house: InProcess, query: str) -> None:
    await filled(house)
    ids = await found(house, query)
    assert set(ids) <= set(APPLICATIONS)
    if query in ("!!!", "'", '"', "%", "_", "*", "\\", "<->", "payment & !ledger", "(payment"):
        assert ids == {"(payment": await found(house, "payments"), "payment & !ledger": ["ledger"]}.get(query, [])


async def test_a_hit_has_its_rank_and_its_marks(house: InProcess) -> None:
    await filled(house)
    wanted = WantedApplications(sought=Sought.parse("greets"))
    ((hit,),) = [page async for page in house.application_lists.pages(wanted)]
    assert hit["matched_description"] == "<b>Greets</b> &lt;everybody&gt; before a payment &amp; after"
    assert (hit["matched_rank"], hit["description"]) == (0.1, APPLICATIONS["greeter"]["description"])
    wanted = WantedApplications(sought=Sought.parse("tools"))
    ((hit,),) = [page async for page in house.application_lists.pages(wanted)]
    assert (hit["matched_rank"], hit["matched_description"]) == (1.4, None)


async def test_filters_narrow_a_search(house: InProcess) -> None:
    await filled(house)
    assert await found(house, "payment", team="other") == ["payment"]
    assert await found(house, "payment", active=False) == ["ledger"]
    assert await found(house, "payment", incident_contact="nobody") == []
    assert await found(house, "payment", modified_after="2026-11-22T12:00:00.000Z", active=True, team="hello") == [
        "payment-api", "greeter",
    ]  # fmt: skip
    assert await found(house, "payment", modified_before="2026-11-22T11:59:59.999Z") == []


async def test_a_search_pages_by_rank(house: InProcess) -> None:
    await filled(house)
    wanted, after, ids = WantedApplications(sought=Sought.parse("payment")), "", list[str]()
    for _ in range(4):
        (one,), following = await house.application_lists.page(wanted, after=after, limit=1)
        ids.append(one["id"])
        after = following or ""
    assert (ids, after) == (["payment", "payment-api", "ledger", "greeter"], "")


async def test_a_search_asks_about_a_time_in_the_past(house: InProcess) -> None:
    await filled(house)
    house.clock.advance(60)
    await house.register("greeter", name="Welcomer", description="Bows", team_id="other")
    house.clock.advance(60)
    before, after = "2026-11-22T12:00:30.000Z", "2026-11-22T12:01:30.000Z"
    for search, at, ids in (
        ("greets", before, ["greeter"]), ("greets", after, []), ("bows", before, []), ("bows", None, ["greeter"]),
        ("greeter", after, ["greeter"]), ("greeter", "2026-11-22T11:00:00.000Z", []),
    ):  # fmt: skip
        assert await found(house, search, at=at) == ids, (search, at)
    assert await found(house, "greeter", at=before, team="other") == []
    wanted = WantedApplications(sought=Sought.parse("greets"), at=before)
    ((hit,),) = [page async for page in house.application_lists.pages(wanted)]
    assert (hit["name"], hit["team_id"]) == ("Greeter", "hello")


async def test_revisions_that_were_recorded_before_there_was_an_index_are_indexed_once(house: InProcess) -> None:
    await filled(house)
    await house.register("greeter", description="Bows")
    await house.database.write(CLEAR_APPLICATION_SPAN.bind([{}]), CLEAR_APPLICATION_WORD.bind([{}]))
    assert await found(house, "payment") == []
    assert await index_applications(house.database) == 7
    assert await index_applications(house.database) == 0
    assert await found(house, "payment") == ["payment", "payment-api", "ledger"]
    assert await found(house, "bows") == ["greeter"]


async def test_a_word_that_an_update_removes_is_found_no_more(house: InProcess) -> None:
    await house.register(description="old words")
    await house.register(description="new words")
    assert (await found(house, "old"), await found(house, "new words")) == ([], ["greeter"])
    await house.applications.write("greeter", {"team_id": "hello", "name": "old", "active": True}, ROOT)
    assert await found(house, "old") == ["greeter"]
