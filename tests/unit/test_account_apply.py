"""Plan and apply, on an account in memory: exactly the plan, against the state it was made for, also after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.account_memory import Killed, MemoryAccount, Resource, resources_of
from fakes.account_world import KeptJournal
from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.applying import Applier
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.difference import UNNAMED_DELETIONS_MAX, Allowed
from whence_aggregator.accounts.plan import AccountPlan
from whence_aggregator.accounts.planning import AccountMismatch, plan_account, verify, verify_all, wanted_of
from whence_aggregator.accounts.report import AccountReport
from whence_aggregator.accounts.resources import ResourceKind, WantedResource, of
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import InputError, RoadError

NET = ResourceKind(name="net", step="network", reads=("ec2:DescribeVpcs",), writes=("ec2:CreateVpc",), fixed=("range",))
PART = ResourceKind(name="part", step="network", reads=(), writes=(), after=("net",), is_regional=True)
STORE = ResourceKind(name="store", step="stores", reads=("s3:ListAllMyBuckets",), writes=(), keeps_data=True)
KINDS = {one.name: one for one in (NET, PART, STORE)}
ACCOUNT = ConfiguredAccount(
    name="hello", account_id="123456789012",
    settings=msgspec.convert({"id": "123456789012", "regions": ["eu-west-1"], "alias": None}, AccountSettings),
)  # fmt: skip


def step(*wanted: WantedResource) -> tuple[AccountStep, ...]:
    return (AccountStep(name="all", summary="", kinds=tuple(KINDS.values()), wanted=lambda _: wanted),)


def net(name: str = "a", **state: Any) -> WantedResource:
    return WantedResource(kind=NET, name=name, state=state or {"one": 1})


def part(name: str = "a", **state: Any) -> WantedResource:
    return WantedResource(kind=PART, name=name, region="eu-west-1", state={"one": of("net/a", "id"), **state})


async def planned(world: MemoryAccount, *wanted: WantedResource, **allowed: tuple[str, ...]) -> AccountPlan:
    before = list(world.writes)
    plan = await plan_account(ACCOUNT, step(*wanted), world, Allowed(**allowed))
    assert world.writes == before, "a plan writes nothing"
    return plan


async def applied(world: MemoryAccount, plan: AccountPlan, journal: KeptJournal | None = None) -> AccountReport:
    async def no_pause(seconds: float) -> None:
        await asyncio.sleep(0)

    return await Applier(
        plan=plan, kinds=KINDS, providers=world, journal=journal or KeptJournal(), pause=no_pause
    ).apply()  # fmt: skip


def outcomes(report: AccountReport) -> Mapping[str, str]:
    return {one.address: one.outcome for one in report.changes}


async def test_what_is_missing_is_created_in_the_order_of_its_references() -> None:
    world = MemoryAccount()
    plan = await planned(world, part(two=2), net())
    assert [(one.action, one.address) for one in plan.changes] == [
        ("create", "net/a"), ("create", "eu-west-1/part/a")
    ]  # fmt: skip
    report = await applied(world, plan)
    assert report.succeeded
    assert world.resources["eu-west-1/part/a"].state == {"one": "id-1", "two": 2}
    assert (await planned(world, part(two=2), net())).changes == ()


async def test_a_resource_may_refer_to_another_one_of_its_kind() -> None:
    world = MemoryAccount()
    plan = await planned(world, net("a", two=of("net/b", "id"), one=1), net("b"), net("c"))
    assert (await applied(world, plan)).succeeded
    assert world.resources["net/a"].state == {"two": "id-1", "one": 1}
    assert [address for what, address in world.writes if what == "create"] == ["net/b", "net/a", "net/c"]


async def test_an_apply_of_a_converged_account_writes_nothing() -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"one": 1}}))
    assert outcomes(await applied(world, await planned(world, net()))) == {}
    plan = await planned(MemoryAccount(), net())
    assert outcomes(await applied(world, plan)) == {"net/a": "already"}
    assert world.writes == []


async def test_only_the_aspects_that_differ_are_changed() -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"one": 1, "two": 2, "more": 3}}))
    plan = await planned(world, net(one=1, two=5))
    assert (plan.changes[0].before, plan.changes[0].after) == ({"two": 2}, {"two": 5})
    await applied(world, plan)
    assert world.resources["net/a"].state == {"one": 1, "two": 5, "more": 3}
    assert world.writes == [("put two", "net/a")]


async def test_what_is_not_ours_is_reported_and_changed_only_when_it_is_named() -> None:
    world = MemoryAccount(resources={"net/a": Resource({"one": 9}, own=False)})
    plan = await planned(world, net())
    assert plan.changes == ()
    assert [(one.kind, one.address, one.fix) for one in plan.remarks] == [
        ("foreign", "net/a", "name it with --adopt 'net/a' to change one")
    ]
    assert [one.address for one in (await planned(world, net(), adopt=("net/*",))).changes] == ["net/a"]


async def test_what_is_not_ours_and_as_wanted_is_no_change() -> None:
    world = MemoryAccount(resources={"net/a": Resource({"one": 1}, own=False)})
    plan = await planned(world, net())
    assert (plan.changes, plan.remarks) == ((), ())


async def test_parts_of_others_are_remarks() -> None:
    world = MemoryAccount(resources={"net/a": Resource({"one": 1}, foreign=("inline policy debug",))})
    (remark,) = (await planned(world, net())).remarks
    assert (remark.kind, remark.message) == ("foreign", "inline policy debug is left as it is")


async def test_our_own_that_the_configuration_no_longer_states_is_deleted_last_things_first() -> None:
    stands: dict[str, dict[str, Any]] = {
        "net/a": {"one": 1},
        "net/kept": {"one": 1},
        "eu-west-1/part/a": {"one": "was-0"},
    }
    world = MemoryAccount(resources=resources_of(stands))
    plan = await planned(world, net("kept"))
    assert [(one.action, one.address) for one in plan.changes] == [
        ("delete", "eu-west-1/part/a"), ("delete", "net/a")
    ]  # fmt: skip
    assert (await applied(world, plan)).succeeded
    assert list(world.resources) == ["net/kept"]
    assert outcomes(await applied(world, plan)) == {"eu-west-1/part/a": "already", "net/a": "already"}


async def test_a_section_that_states_nothing_deletes_only_what_is_named() -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"one": 1}, "net/b": {"one": 1}}))
    plan = await planned(world)
    assert plan.changes == ()
    assert next((one.kind, one.address, one.message, one.fix) for one in plan.remarks) == (
        "kept", "net/a", "the configuration no longer states it, but it states nothing of the step network: not deleted",
        "name it with --delete 'net/a' to delete it",
    )  # fmt: skip
    plan = await planned(world, delete=("net/b",))
    assert [(one.action, one.address) for one in plan.changes] == [("delete", "net/b")]


async def test_many_deletions_need_their_names_and_a_few_do_not() -> None:
    few = {f"net/{number}": {"one": 1} for number in range(UNNAMED_DELETIONS_MAX)}
    assert len((await planned(MemoryAccount(resources=resources_of(few)), net("kept"))).changes) == 1 + len(few)
    many = MemoryAccount(resources=resources_of({**few, "net/more": {"one": 1}}))
    plan = await planned(many, net("kept"))
    assert [one.action for one in plan.changes] == ["create"]
    assert {one.message for one in plan.remarks} == {
        "the configuration no longer states it, but 11 resources would go without being named: not deleted"
    }
    assert len((await planned(many, net("kept"), delete=("net/*",))).changes) == 12


@pytest.mark.parametrize("own", [True, False])
async def test_what_may_hold_data_or_is_not_ours_is_deleted_only_when_it_is_named(own: bool) -> None:
    world = MemoryAccount(resources={"store/b": Resource({"one": 1}, own=own)})
    dropped = WantedResource(kind=STORE, name="b", state={}, is_dropped=True)
    plan = await planned(world, dropped)
    assert (plan.changes, plan.remarks[0].kind, plan.remarks[0].address) == ((), "kept", "store/b")
    assert plan.remarks[0].fix == "name it with --delete 'store/b' to delete it"
    assert (await applied(world, await planned(world, dropped, delete=("store/b",)))).succeeded
    assert world.resources == {}


async def test_the_pattern_that_a_remark_gives_names_that_resource_alone() -> None:
    world = MemoryAccount(resources={"store/*.a": Resource(state={"one": 1}), "store/b.a": Resource(state={"one": 1})})
    plan = await planned(world, WantedResource(kind=STORE, name="c", state={"one": 1}))
    assert [one.fix for one in plan.remarks] == [
        "name it with --delete 'store/[*].a' to delete it", "name it with --delete 'store/b.a' to delete it"
    ]  # fmt: skip
    plan = await planned(world, WantedResource(kind=STORE, name="c", state={"one": 1}), delete=("store/[*].a",))
    assert [one.address for one in plan.changes if one.action == "delete"] == ["store/*.a"]


async def test_what_was_never_there_and_is_dropped_is_no_change() -> None:
    plan = await planned(MemoryAccount(), WantedResource(kind=STORE, name="b", state={}, is_dropped=True))
    assert (plan.changes, plan.remarks) == ((), ())


async def test_what_needs_a_resource_that_is_neither_there_nor_planned_is_a_remark_and_so_is_what_needs_that() -> None:
    held = WantedResource(
        kind=PART, name="a", region="eu-west-1", state={"net": of("net/b", "id")}, within=("store/theirs",)
    )
    above = WantedResource(kind=STORE, name="b", state={"part": of("eu-west-1/part/a", "id")})
    other = WantedResource(kind=STORE, name="c", state={"one": 1})
    theirs = WantedResource(kind=STORE, name="theirs", state={})
    world = MemoryAccount(resources={"store/theirs": Resource({}, own=False)})
    plan = await planned(world, held, above, other, theirs, net(name="b"))
    assert [one.address for one in plan.changes] == ["net/b", "store/c"]
    assert {one.address: one.message for one in plan.remarks} == {
        "eu-west-1/part/a": "create is not planned: store/theirs is not our own",
        "store/b": "create is not planned: eu-west-1/part/a does not exist, and is not created by this plan",
    }
    assert (await applied(world, plan)).succeeded


async def test_an_aspect_that_aws_cannot_change_is_a_remark_with_what_to_do() -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"range": "10.0.0.0/16"}}))
    plan = await planned(world, net(range="10.1.0.0/16"))
    assert plan.changes == ()
    assert plan.remarks[0].message == "AWS cannot change range of what exists: not changed"


async def test_what_cannot_be_read_is_unknown_and_gets_no_change() -> None:
    world = MemoryAccount(unreadable={"net": RoadError("account-denied", "no", fix="allow it")})
    plan = await planned(world, net(), WantedResource(kind=STORE, name="b", state={"one": 1}))
    assert [one.address for one in plan.changes] == ["store/b"]
    assert [(one.kind, one.address, one.message, one.fix) for one in plan.remarks] == [
        ("unread", "net/*", "no", "allow it")
    ]
    assert not plan.is_whole


async def test_a_resource_in_a_region_that_the_account_does_not_list_is_read_there() -> None:
    elsewhere = WantedResource(kind=PART, name="a", region="us-east-1", state={"one": 1})
    world = MemoryAccount(resources={"us-east-1/part/a": Resource({"one": 1})})
    assert (await planned(world, elsewhere)).changes == ()


async def test_a_kind_that_is_not_configured_and_cannot_be_read_is_said_to_be_unsearched() -> None:
    world = MemoryAccount(unreadable={"net": RoadError("account-denied", "no")})
    plan = await planned(world)
    assert [one.kind for one in plan.remarks] == ["unsearched"]
    assert plan.is_whole


@pytest.mark.parametrize(
    "moved, named",
    [
        ({"net/a": Resource({"one": 7, "two": 2})}, "net/a"),
        ({}, "net/a"),
        ({"net/a": Resource({"one": 1, "two": 2}), "store/b": Resource({"one": 8})}, "store/b"),
    ],
)
async def test_an_account_that_moved_is_refused_by_name_before_any_write(
    moved: dict[str, Resource], named: str
) -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"one": 1, "two": 2}}))
    plan = await planned(world, net(one=1, two=5), WantedResource(kind=STORE, name="b", state={"one": 1}))
    world.resources = moved
    report = await applied(world, plan)
    assert not report.succeeded
    assert named in report.error
    assert world.writes == []


async def test_what_cannot_be_read_at_the_apply_is_no_move_and_says_why_nothing_was_written() -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"one": 1}}))
    plan = await planned(world, net(one=2), WantedResource(kind=STORE, name="b", state={"one": 1}))
    world.unreadable["net"] = RoadError("account-credentials", "the credentials have expired", fix="renew them")
    report = await applied(world, plan)
    assert report.error == (
        "nothing was written, as what the plan changes cannot be read: the credentials have expired (renew them)"
    )
    assert outcomes(report) == {"net/a": "refused", "store/b": "skipped"}
    assert world.writes == []
    world.resources["store/b"] = Resource({"one": 9})
    assert "has moved since the plan was made: store/b" in (await applied(world, plan)).error
    world.resources.pop("store/b")
    world.unreadable.clear()
    assert (await applied(world, plan)).succeeded


async def test_a_resource_that_the_plan_does_not_change_but_records_may_not_move_either() -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"one": 1}}))
    plan = await planned(world, net(), part())
    world.resources["net/a"].state["one"] = 2
    report = await applied(world, plan)
    assert "net/a" in report.error
    assert world.writes == []


async def test_a_change_that_fails_leaves_the_others_written_and_what_needs_it_skipped() -> None:
    world = MemoryAccount()
    plan = await planned(world, net(), part(), WantedResource(kind=STORE, name="b", state={"one": 1}))

    def fault(number: int, what: str, address: str) -> None:
        if address == "net/a":
            raise RoadError("account-denied", "no", fix="allow it")

    world.fault = fault
    report = await applied(world, plan)
    assert outcomes(report) == {"net/a": "failed", "eu-west-1/part/a": "skipped", "store/b": "done"}
    assert not report.succeeded
    assert [one.message for one in report.changes] == ["no", "", "it needs net/a, which was not written"]
    assert report.changes[0].fix == "allow it"


async def test_a_new_resource_that_aws_does_not_list_at_once_is_read_again() -> None:
    world = MemoryAccount()
    plan = await planned(world, net(one=1, two=2))
    world.hidden_reads = 4
    assert (await applied(world, plan)).succeeded
    assert world.resources["net/a"].state == {"one": 1, "two": 2}


async def test_the_credentials_of_another_account_end_everything_before_any_write() -> None:
    world = MemoryAccount(account_id="999999999999")
    with pytest.raises(AccountMismatch, match="credentials are those of 999999999999"):
        await verify(ACCOUNT.target, world)
    plan = AccountPlan(
        account="hello", account_id="123456789012", access=ACCOUNT.settings.access, regions=("eu-west-1",), alias=None,
        changes=(), standing=(), remarks=(),
    )  # fmt: skip
    report = await applied(world, plan)
    assert "credentials are those of 999999999999" in report.error
    assert world.writes == []


async def test_of_many_accounts_every_wrong_one_is_named() -> None:
    second = ConfiguredAccount(
        name="hello-2", account_id="210987654321", settings=msgspec.structs.replace(ACCOUNT.settings, id="210987654321")
    )
    with pytest.raises(
        AccountMismatch, match=r"account hello has id 123456789012.*; account hello-2 has id 210987654321"
    ):
        await verify_all([ACCOUNT.target, second.target], MemoryAccount(account_id="999999999999"), at_once=2)


def test_a_resource_that_is_configured_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"accounts\.hello: net/a is configured twice"):
        wanted_of(ACCOUNT, step(net(), net()))


async def test_resources_that_wait_for_each_other_are_refused() -> None:
    one = WantedResource(kind=NET, name="a", state={"one": of("net/b", "id")})
    two = WantedResource(kind=NET, name="b", state={"one": of("net/a", "id")})
    with pytest.raises(InputError, match="wait for each other: net/a → net/b → net/a"):
        await planned(MemoryAccount(), one, two)


_VALUES = st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2) | st.none()
_STATES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["one", "two", "three"]), _VALUES, min_size=1, max_size=3
)
_NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, Resource], list[WantedResource]]:
    """Return what stands and what is wanted; parts may refer to a wanted net."""
    stands = {
        address: Resource(draw(_STATES), own=draw(st.booleans()), output=f"was-{number}")
        for number, address in enumerate(draw(st.sets(st.sampled_from(
            ["net/a", "net/b", "store/a", "store/b", "eu-west-1/part/a", "eu-west-1/part/b"]))))
    }  # fmt: skip
    wanted: list[WantedResource] = []
    for kind in (NET, STORE, PART):
        for name in draw(st.sets(_NAMES)):
            state = dict(draw(_STATES))
            nets = [one.name for one in wanted if one.kind is NET]
            if kind is PART and nets:
                state["net"] = of(f"net/{draw(st.sampled_from(nets))}", "id")
            region = "eu-west-1" if kind.is_regional else None
            wanted.append(WantedResource(kind=kind, name=name, region=region, state=state))
    return stands, draw(st.permutations(wanted))


def _copied(stands: Mapping[str, Resource]) -> dict[str, Resource]:
    return {key: Resource(dict(one.state), one.own, one.output) for key, one in stands.items()}


@given(worlds())
@settings(max_examples=150, deadline=None)
async def test_one_apply_converges_and_leaves_others_alone(
    world: tuple[dict[str, Resource], list[WantedResource]],
) -> None:
    stands, wanted = world
    account = MemoryAccount(resources=_copied(stands))
    plan = await planned(account, *wanted)
    assert (await applied(account, plan)).succeeded
    again = await planned(account, *wanted)
    assert again.changes == ()
    for address, one in stands.items():
        if not one.own:
            assert account.resources[address].state == one.state
    addresses = {one.address for one in wanted}
    for address, one in account.resources.items():
        assert address in addresses or not one.own or address.startswith("store/") or not wanted


@given(worlds(), st.data())
@settings(max_examples=150, deadline=None)
async def test_an_apply_that_is_killed_at_any_write_goes_on_and_does_nothing_twice(
    world: tuple[dict[str, Resource], list[WantedResource]], data: st.DataObject
) -> None:
    stands, wanted = world
    account, journal = MemoryAccount(resources=_copied(stands)), KeptJournal()
    plan = await planned(account, *wanted)
    whole = MemoryAccount(resources=_copied(stands))
    await applied(whole, plan)
    points = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole.writes))), max_size=3)))

    def fault(number: int, what: str, address: str) -> None:
        if points and number >= points[0]:
            points.pop(0)
            raise Killed

    account.fault = fault
    for _ in range(4):
        try:
            report = await applied(account, plan, journal)
        except Killed:
            account.writes.pop()  # it died before the write
            continue
        break
    assert report.succeeded
    assert {key: one.state for key, one in account.resources.items()} == {
        key: one.state for key, one in whole.resources.items()
    }
    assert sorted(account.writes) == sorted(whole.writes), "nothing is written twice"


@given(worlds(), worlds())
@settings(max_examples=150, deadline=None)
async def test_a_plan_never_writes_to_an_account_in_another_state(
    world: tuple[dict[str, Resource], list[WantedResource]], other: tuple[dict[str, Resource], list[WantedResource]]
) -> None:
    stands, wanted = world
    plan = await planned(MemoryAccount(resources=_copied(stands)), *wanted)
    account = MemoryAccount(resources=_copied(other[0]))
    report = await applied(account, plan)
    recorded = {one.address for one in plan.standing}
    gone = [one for one in recorded if one not in account.resources and not _deletes(plan.changes, one)]
    if gone:
        assert all(one in report.error for one in gone)
    if report.error:
        assert account.writes == []


def _deletes(changes: Sequence[Any], address: str) -> bool:
    return any(one.address == address and one.action == "delete" for one in changes)


async def test_a_resource_that_its_creation_states_is_not_read_again() -> None:
    world = MemoryAccount(answers_creations=True)
    plan = await planned(world, net(one=1, two=2), part(two=2))
    world.reads.clear()
    assert (await applied(world, plan)).succeeded
    assert world.reads == [("net", None), ("part", "eu-west-1")], "the account was compared with the plan, once"
    assert world.resources["net/a"].state == {"one": 1, "two": 2}
    assert world.resources["eu-west-1/part/a"].state == {"one": "id-1", "two": 2}


async def test_a_resource_that_its_creation_states_need_not_be_listed_yet() -> None:
    world = MemoryAccount(answers_creations=True)
    plan = await planned(world, net(one=1, two=2), part())
    world.hidden_reads = 1_000
    assert (await applied(world, plan)).succeeded
    assert world.writes == [("create", "net/a"), ("put two", "net/a"), ("create", "eu-west-1/part/a")]


async def at_once(world: MemoryAccount, plan: AccountPlan) -> AccountReport:
    """Apply a plan as the run does that has just made it."""
    return await Applier(
        plan=plan, kinds=KINDS, providers=world, journal=KeptJournal(), pause=asyncio.sleep, reads_all=False
    ).apply()  # fmt: skip


async def test_a_plan_that_was_just_made_is_compared_where_it_changes_something_alone() -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"one": 1}, "store/b": {"one": 1}}), answers_creations=True)
    plan = await planned(world, net(one=1), part(), WantedResource(kind=STORE, name="b", state={"one": 2}))
    world.reads.clear()
    assert (await at_once(world, plan)).succeeded
    assert {kind for kind, _ in world.reads} == {"part", "store"}
    assert world.resources["eu-west-1/part/a"].state == {"one": "was-0"}, "what is referred to is known from the plan"


@pytest.mark.parametrize(
    ("meanwhile", "moved"),
    [
        ({"store/b": {"one": 7}}, "store/b"),
        ({"net/a": {"one": 1}, "store/b": {"one": 1}, "eu-west-1/part/a": {"one": 9}}, "eu-west-1/part/a"),
        ({}, "store/b"),
    ],
    ids=["changed", "created", "gone"],
)
async def test_a_plan_that_was_just_made_is_refused_where_what_it_changes_has_moved(
    meanwhile: dict[str, Any], moved: str
) -> None:
    world = MemoryAccount(resources=resources_of({"net/a": {"one": 1}, "store/b": {"one": 1}}))
    plan = await planned(world, net(one=1), part(), WantedResource(kind=STORE, name="b", state={"one": 2}))
    world.resources = resources_of(meanwhile)
    report = await at_once(world, plan)
    assert outcomes(report)[moved] == "refused"
    assert world.writes == []
