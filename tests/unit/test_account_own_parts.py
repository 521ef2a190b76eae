"""Parts of a resource: those that we wrote are removed with their key, those of others are left, and warnings."""

from __future__ import annotations

import asyncio

from fakes.account_memory import MemoryAccount, resources_of
from fakes.account_world import KeptJournal
from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.applying import Applier
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.difference import Allowed, compare
from whence_aggregator.accounts.plan import AccountPlan, PlannedChange, Remark
from whence_aggregator.accounts.planning import plan_account
from whence_aggregator.accounts.report import AccountReport
from whence_aggregator.accounts.resources import ResourceKind, StandingResource, WantedResource, of
from whence_aggregator.accounts.step import AccountStep

_BOX = ResourceKind(name="box", step="boxes", reads=("boxes:List",), writes=("boxes:Put",))


def _stands(*, is_own: bool = True, surplus: tuple[str, ...] = (), foreign: tuple[str, ...] = ()) -> StandingResource:
    state = {"lid": "blue", "label:old": "x"}
    return StandingResource(kind=_BOX, name="a", state=state, is_own=is_own, surplus=surplus, foreign=foreign)


_WANTED = WantedResource(kind=_BOX, name="a", state={"lid": "blue"})


def test_a_part_of_ours_that_is_no_longer_stated_is_removed_first() -> None:
    changed = WantedResource(kind=_BOX, name="a", state={"lid": "red"})
    found = compare([changed], [_stands(surplus=("label:old",))], Allowed(), frozenset())
    (change,) = found.changes
    assert change == PlannedChange(
        address="box/a", step="boxes", action="update", before={"label:old": "x", "lid": "blue"},
        after={"label:old": None, "lid": "red"},
    )  # fmt: skip
    assert list(change.after or ()) == ["label:old", "lid"]


def test_a_part_that_has_no_mark_of_ours_is_left() -> None:
    assert compare([_WANTED], [_stands()], Allowed(), frozenset()).changes == ()


def test_a_part_of_a_foreign_resource_is_removed_only_where_it_is_adopted() -> None:
    stands = _stands(is_own=False, surplus=("label:old",))
    refused = compare([_WANTED], [stands], Allowed(), frozenset())
    assert [one.kind for one in refused.remarks] == ["foreign"]
    adopted = compare([_WANTED], [stands], Allowed(adopt=("box/*",)), frozenset())
    assert [one.after for one in adopted.changes] == [{"label:old": None}]


def test_a_resource_of_ours_with_parts_of_others_is_deleted_only_where_it_is_named() -> None:
    stands = _stands(foreign=("label theirs",))
    kept = compare([], [stands], Allowed(), frozenset())
    assert kept.changes == ()
    assert Remark(
        address="box/a", step="boxes", kind="kept", fix="name it with --delete 'box/a' to delete it",
        message="the configuration no longer states it, but it has label theirs: not deleted",
    ) in kept.remarks  # fmt: skip
    named = compare([], [stands], Allowed(delete=("box/a",)), frozenset())
    assert [one.action for one in named.changes] == ["delete"]
    assert named.remarks == ()


def test_a_warning_is_a_remark_and_no_change() -> None:
    stands = StandingResource(kind=_BOX, name="a", state={"lid": "blue"}, is_own=True, warnings=("the hinge is loose",))
    found = compare([_WANTED], [stands], Allowed(), frozenset())
    assert found.changes == ()
    assert found.remarks == (Remark(address="box/a", step="boxes", kind="warning", message="the hinge is loose"),)


def test_what_refers_to_something_unread_is_not_changed() -> None:
    refers = WantedResource(kind=_BOX, name="b", state={"lid": of("box/c", "id")})
    found = compare([_WANTED, refers], [_stands()], Allowed(), frozenset({"box/c"}))
    assert found.changes == ()


_ACCOUNT = ConfiguredAccount(
    name="hello", account_id="123456789012",
    settings=AccountSettings(id="123456789012", regions=("eu-west-1",), alias=None),
)  # fmt: skip


async def _deletion(world: MemoryAccount) -> AccountPlan:
    step = AccountStep(name="boxes", summary="boxes", kinds=(_BOX,), wanted=lambda _: ())
    return await plan_account(_ACCOUNT, (step,), world, Allowed(delete=("box/a",)))


async def _applied(world: MemoryAccount, plan: AccountPlan) -> AccountReport:
    async def no_pause(seconds: float) -> None:
        await asyncio.sleep(0)

    return await Applier(
        plan=plan, kinds={"box": _BOX}, providers=world, journal=KeptJournal(), pause=no_pause
    ).apply()  # fmt: skip


async def test_a_deletion_that_was_cut_off_between_its_calls_goes_on_with_the_same_plan() -> None:
    world = MemoryAccount(resources=resources_of({"box/a": {"lid": "blue", "label:old": "x"}}))
    plan = await _deletion(world)
    world.resources["box/a"].state["label:old"] = None
    assert (await _applied(world, plan)).succeeded
    assert world.resources == {}


async def test_a_deletion_of_what_was_changed_meanwhile_is_refused() -> None:
    world = MemoryAccount(resources=resources_of({"box/a": {"lid": "blue", "label:old": "x"}}))
    plan = await _deletion(world)
    world.resources["box/a"].state["label:old"] = "theirs"
    report = await _applied(world, plan)
    assert [(one.outcome, one.message) for one in report.changes] == [("refused", "it differs in label:old")]
    assert list(world.resources) == ["box/a"]
