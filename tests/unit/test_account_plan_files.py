"""Plan files from outside: what is no plan of ours, or was altered, is refused with what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from fakes.account_memory import MemoryAccount
from fakes.account_world import KeptJournal
from whence_aggregator.accounts.applying import Applier
from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.plan import (
    PLAN_BYTES_MAX,
    RESOURCES_MAX,
    AccountPlan,
    PlanFile,
    PlanInvalid,
    PlannedChange,
    check_size,
    decode_plan,
    encode_plan,
)
from whence_aggregator.accounts.report import AccountReport
from whence_aggregator.accounts.resources import ResourceKind
from whence_common.errors import InputError

_NET = ResourceKind(name="net", step="network", reads=(), writes=())
_PART = ResourceKind(name="part", step="network", reads=(), writes=(), is_regional=True)


def _plan(
    *addresses: str, after: Mapping[str, Any] | None = None, regions: tuple[str, ...] = ("eu-west-1",)
) -> PlanFile:
    changes = tuple(
        PlannedChange(address=one, step="network", action="create", before=None, after=dict(after or {"one": 1}))
        for one in addresses
    )
    account = AccountPlan(
        account="hello", account_id="123456789012", access=AccountAccess(), regions=regions, alias=None, changes=changes,
        standing=(), remarks=(),
    )  # fmt: skip
    return PlanFile(made_at="2026-11-22T12:00:00Z", configuration="sha256:1", accounts=(account,))


async def _applied(plan: PlanFile, world: MemoryAccount) -> AccountReport:
    async def no_pause(seconds: float) -> None:
        await asyncio.sleep(0)

    return await Applier(
        plan=plan.accounts[0], kinds={"net": _NET, "part": _PART}, providers=world, journal=KeptJournal(),
        pause=no_pause,
    ).apply()  # fmt: skip


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_a_plan_is_read_as_it_was_written() -> None:
    plan = _plan("net/a", after=_nested(50))
    assert decode_plan(encode_plan(plan), name="p") == plan


def test_every_altered_byte_is_found() -> None:
    content = encode_plan(_plan("net/a"))
    for place in range(0, len(content) - 1, 3):
        altered = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        try:
            found = decode_plan(altered, name="p")
        except PlanInvalid:
            continue
        assert encode_plan(found) == content, f"byte {place} changed the plan's meaning"


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is not a plan"),
        (b"\xff\xfe", "is not a plan"),
        (b"[]", "is not a plan"),
        (b"[" * 1_000_000, "is not a plan"),
        (b'{"a":' * 100_000, "is not a plan"),
        (b" " * (PLAN_BYTES_MAX + 1), "is larger than"),
        (encode_plan(_plan("net/a", after=_nested(200))), "nested too deeply"),
        (encode_plan(_plan("net/a", regions=())), "length >= 1"),
        (encode_plan(_plan("net/a", regions=("../../etc",))), "regions"),
        (encode_plan(msgspec.structs.replace(_plan(), accounts=_plan("net/a").accounts * 2)), "an account occurs twice"),
        (encode_plan(_plan("net/a")).replace(b"plan/1", b"plan/x"), "plan/x, which this version does not read"),
        (encode_plan(_plan("net/a", "net/a")), "a resource of account 123456789012 is changed twice"),
        (encode_plan(_plan("net/a")).replace(b'"one": 1', b'"one": "\\ud800"'), "is not a plan"),
        (encode_plan(_plan("net/a")).replace(b'"one": 1', b'"one": NaN'), "is not a plan"),
        (encode_plan(_plan("net/a")).replace(b'"one": 1', b'"one": 1e999'), "is not a plan"),
        (encode_plan(_plan("net/a")).replace(b'"one": 1', b'"one": -Infinity'), "is not a plan"),
        (encode_plan(_plan("net/a")).replace(b'"one": 1', b'"one": ' + b"9" * 400), "was altered"),
        (encode_plan(_plan("net/a")).replace(b'"one": 1', b'"one": ' + b"9" * 10_000), "is not a plan"),
        (encode_plan(_plan("net/a")).replace(b'"one": 1', b'"one": "' + b"x" * 9_000_000 + b'"'), "was altered"),
        (encode_plan(_plan("net/a")).replace(b"net/a", b"net/" + b"a" * 3_000), "length <= 2000"),
        (encode_plan(_plan("net/a")).replace(b'"create"', b'"' + b"x" * 1_000_000 + b'"'), "Invalid enum value"),
        (encode_plan(_plan("net/a")).replace(b'"flags"', b'"\\u001b[31m' + b"x" * 1_000_000 + b'"'), "unknown field"),
    ],
)  # fmt: skip
def test_what_is_no_plan_is_refused_with_what_to_do(content: bytes, reason: str) -> None:
    with pytest.raises(PlanInvalid, match=reason) as refused:
        decode_plan(content, name="p.json")
    assert "make a new plan" in refused.value.fix
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 500


def test_a_plan_of_a_newer_version_names_its_format_and_what_to_do() -> None:
    content = encode_plan(_plan("net/a")).replace(b"account-plan/1", b"account-plan/2")
    with pytest.raises(PlanInvalid) as refused:
        decode_plan(content, name="p.json")
    assert refused.value.message == (
        "p.json is a plan of the format whence-account-plan/2, which this version does not read"
    )
    assert refused.value.fix == "apply it with the version of whence-accounts that made it, or make a new plan"


def test_a_plan_of_more_resources_than_the_bound_is_neither_written_nor_read() -> None:
    plan = _plan(*(f"net/{number}" for number in range(RESOURCES_MAX + 1)))
    content = encode_plan(plan)
    with pytest.raises(InputError, match="the plan has more than"):
        check_size(plan, content)
    with pytest.raises(PlanInvalid, match=f"has more than {RESOURCES_MAX} resources and remarks"):
        decode_plan(content, name="p.json")


async def test_a_plan_of_many_changes_of_one_kind_is_applied_in_time_that_grows_with_their_number() -> None:
    world = MemoryAccount()
    plan = _plan(*(f"net/{number}" for number in range(10_000)))
    async with asyncio.timeout(30):
        assert (await _applied(plan, world)).succeeded
    assert len(world.writes) == 10_000


@pytest.mark.parametrize(
    "address", ["martian/x", "net", "net/", "", "/", "eu-west-1/net/a", "part/a", "eu-west-1/part/"]
)
async def test_an_address_of_no_kind_or_place_is_refused_before_any_write(address: str) -> None:
    world = MemoryAccount()
    report = await _applied(_plan("net/a", address), world)
    assert "unknown kind or place" in report.error
    assert ([one.outcome for one in report.changes], world.writes) == (["skipped", "skipped"], [])


async def test_a_resource_that_refers_to_itself_is_never_written() -> None:
    world = MemoryAccount()
    report = await _applied(_plan("net/a", after={"one": {"$of": "net/a", "output": "id"}}), world)
    assert [one.message for one in report.changes] == ["it needs net/a, which does not exist"]
    assert world.writes == []
