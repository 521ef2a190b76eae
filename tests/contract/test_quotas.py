"""Quotas: what one instance, account, caller or team may have kept, in bytes."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.in_process import LIMITLESS, ROOT, InProcess
from whence_aggregator.applications.applications import Applications
from whence_aggregator.applications.entries import RECORD_BYTES_MAX, ApplicationEntries
from whence_aggregator.applications.listing import PAGE_MAX, WantedApplications
from whence_aggregator.applications.teams import AnyTeam
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.ports import Overloaded
from whence_common.errors import WhenceError

LEAST: dict[str, Any] = {"team_id": "hello", "name": "Greeter", "active": True}
KILOBYTES_20 = Rate(per_second=1_000.0, burst=20_000.0)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def applications(house: InProcess, *, caller: Limit | None = None, team: Limit | None = None) -> Applications:
    return Applications(
        database=house.database,
        ledger=house.ledger,
        entries=ApplicationEntries(
            caller_bytes=caller or Limit("caller", LIMITLESS, unit="bytes"),
            team_bytes=team or Limit("team", LIMITLESS, unit="bytes"),
            now=house.clock,
        ),
        teams=AnyTeam(),
        now=house.clock,
        on_work=lambda: None,
    )


async def test_one_caller_writes_so_many_bytes_and_is_told_when_to_go_on(house: InProcess) -> None:
    clock = Clock()
    written = applications(house, caller=Limit("caller", KILOBYTES_20, clock, unit="bytes"))
    large = {**LEAST, "description": "x" * 15_000}
    await written.write("one", large, ROOT)
    with pytest.raises(Overloaded, match="too many bytes from caller root") as caught:
        await written.write("two", large, ROOT)
    assert 10.0 < (caught.value.retry_after_seconds or 0) < 13.0
    await written.write("three", large, Caller(name="ada", teams=None))
    clock.seconds = 13.0
    await written.write("two", large, ROOT)


async def test_the_callers_of_one_team_share_its_bytes(house: InProcess) -> None:
    written = applications(house, team=Limit("team", KILOBYTES_20, Clock(), unit="bytes"))
    large = {**LEAST, "description": "x" * 15_000}
    await written.write("one", large, Caller(name="ada", teams=frozenset({"hello"})))
    with pytest.raises(Overloaded, match="team hello"):
        await written.write("two", large, Caller(name="bob", teams=frozenset({"hello"})))
    await written.write("three", {**large, "team_id": "other"}, ROOT)


async def test_what_a_quota_refuses_stands_in_no_log(house: InProcess) -> None:
    written = applications(house, caller=Limit("caller", KILOBYTES_20, Clock(), unit="bytes"))
    for _ in range(5):
        try:
            await written.write("one", {**LEAST, "description": "x" * 15_000}, ROOT)
        except Overloaded:
            continue
    assert len(await house.entries("application")) == 1


async def test_a_record_is_bounded_as_a_whole(house: InProcess) -> None:
    fields = ("description", "subtitle", "service_url", "documentation_url")
    with pytest.raises(WhenceError) as caught:
        await house.applications.write("one", {**LEAST, **dict.fromkeys(fields, "x" * 20_000)}, ROOT)
    assert caught.value.code == "application-too-large"
    await house.applications.write("one", {**LEAST, "description": "x" * (RECORD_BYTES_MAX - 2_000)}, ROOT)
    with pytest.raises(WhenceError) as caught:
        await house.applications.write("one", {**LEAST, "subtitle": "x" * 20_000}, ROOT)
    assert caught.value.code == "application-too-large"


async def test_a_list_comes_in_pages_of_one_moment(house: InProcess) -> None:
    names = [f"app-{number:03d}" for number in range(PAGE_MAX + 7)]
    for name in names:
        await house.applications.write(name, LEAST, ROOT)
    sizes, found = [], []
    async for page in house.application_lists.pages(WantedApplications()):
        sizes.append(len(page))
        found += [one["id"] for one in page]
        await house.applications.write("zzz-late", LEAST, ROOT)
    assert sizes == [PAGE_MAX, 8] or sizes == [PAGE_MAX, 7]
    assert found[: len(names)] == names


async def test_one_instance_has_so_many_bytes_kept(house: InProcess) -> None:
    machine, other = await house.machine(), await house.machine("i-0aaaaaaaaaaaaaaaa")
    content = machine.statement()
    house.ingest._instance_bytes = Limit("instance", Rate(per_second=1.0, burst=len(content) * 2.5), unit="bytes")
    await house.ingest.accept(content)
    await house.ingest.accept(machine.statement(cause="change"))
    with pytest.raises(Overloaded, match="too many bytes from instance i-0123456789abcdef0"):
        await house.ingest.accept(machine.statement(cause="change"))
    await house.ingest.accept(other.statement())
