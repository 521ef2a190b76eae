"""Which accounts are configured, of those that an organisation lists and those that the file states."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from whence_aggregator.accounts.configuration.organization import (
    ChosenAccounts,
    LeftOut,
    ListedAccount,
    choose_accounts,
)
from whence_common.errors import InputError

A, B, C = "111111111111", "222222222222", "333333333333"


def _listed(account_id: str, name: str, *, status: str = "ACTIVE", path: str | None = "Root") -> ListedAccount:
    return ListedAccount(account_id=account_id, name=name, status=status, path=path)


def test_all_active_accounts_are_configured_by_their_names() -> None:
    assert choose_accounts({}, [_listed(B, "web"), _listed(A, "data")]) == ChosenAccounts(
        ids={"data": A, "web": B}, left_out=()
    )


def test_accounts_of_the_file_come_first_and_get_their_ids() -> None:
    found = choose_accounts({"web": None, "data": A}, [_listed(A, "data"), _listed(B, "web"), _listed(C, "another")])
    assert list(found.ids.items()) == [("web", B), ("data", A), ("another", C)]


def test_the_file_may_give_an_account_another_name() -> None:
    assert choose_accounts({"web": A}, [_listed(A, "Web (production)")]).ids == {"web": A}


@pytest.mark.parametrize("status", ["SUSPENDED", "PENDING_CLOSURE", "CLOSED", "PENDING_ACTIVATION"])
@pytest.mark.parametrize("stated", [{}, {"web": A}, {"web": None}])
def test_an_account_that_is_not_active_is_left_out_and_reported(stated: Mapping[str, str | None], status: str) -> None:
    found = choose_accounts(stated, [_listed(A, "web", status=status)])
    assert found == ChosenAccounts(ids={}, left_out=(LeftOut(account_id=A, name="web", reason=f"it is {status}"),))


def test_a_state_that_is_not_known_is_not_taken_for_active() -> None:
    (left,) = choose_accounts({}, [_listed(A, "web", status="")]).left_out
    assert left.reason == "it is without a state"


@pytest.mark.parametrize("unit", ["Root/production", "Root/prod*", "*/web", "Root/production/"])
def test_a_unit_has_the_accounts_of_all_units_below(unit: str) -> None:
    listed = [_listed(A, "one", path="Root/production/web"), _listed(B, "two", path="Root/test")]
    found = choose_accounts({}, listed, units=[unit])
    assert found.ids == {"one": A}
    assert [one.reason for one in found.left_out] == [
        "it is in Root/test, which no pattern of organizations.units matches"
    ]


@pytest.mark.parametrize("pattern", ["sandbox-*", A, "web"])
def test_excluded_accounts_are_left_out_by_their_names_in_both_places_and_by_id(pattern: str) -> None:
    found = choose_accounts({"web": A}, [_listed(A, "sandbox-web")], exclude=[pattern])
    assert [(one.name, one.reason) for one in found.left_out] == [("web", f"organizations.exclude has {pattern}")]


def test_a_closed_account_does_not_take_the_name_of_its_successor() -> None:
    listed = [_listed(A, "web", status="SUSPENDED"), _listed(B, "web")]
    assert choose_accounts({"web": None}, listed).ids == {"web": B}
    found = choose_accounts({}, listed)
    assert (found.ids, [one.account_id for one in found.left_out]) == ({"web": B}, [A])


def _refused(stated: Mapping[str, str | None], listed: Sequence[ListedAccount], **patterns: Sequence[str]) -> str:
    with pytest.raises(InputError) as refused:
        choose_accounts(stated, listed, **patterns)
    assert refused.value.fix
    return refused.value.message


def test_an_account_that_the_organisation_does_not_list_is_an_error() -> None:
    assert _refused({"web": A}, [_listed(B, "data")]) == "accounts.web: the organisation does not list it"
    assert _refused({"web": None}, [_listed(B, "data")]) == "accounts.web: the organisation does not list it"


def test_an_id_that_differs_is_an_error() -> None:
    assert _refused({"web": A}, [_listed(B, "web")]) == (
        f"accounts.web.id: is {A}, but the organisation lists {B}"
    )  # fmt: skip


def test_a_name_of_two_listed_accounts_is_an_error() -> None:
    listed = [_listed(A, "web"), _listed(B, "web")]
    assert _refused({"web": None}, listed).startswith(
        f"accounts.web: the organisation lists several of the name, write the id: {A} and {B}"
    )
    assert f"the organisation lists {A} and {B} as web" in _refused({}, listed)
    assert choose_accounts({"one": A}, listed).ids == {"one": A, "web": B}


def test_a_name_that_the_organisation_has_for_another_account_is_an_error() -> None:
    message = _refused({"web": A}, [_listed(A, "data"), _listed(B, "web")])
    assert message == (
        f"accounts.web is {A}, but the organisation has the name for {B}: add that under another name"
    )  # fmt: skip


def test_two_names_of_one_account_are_an_error() -> None:
    assert _refused({"web": A, "data": None}, [_listed(A, "data")]) == f"accounts.web and accounts.data have the id {A}"


def test_a_pattern_of_units_that_matches_nothing_is_an_error() -> None:
    assert _refused({}, [_listed(A, "web")], units=["Root", "root"]) == (
        "organizations.units: root matches no organisational unit with accounts"
    )


def test_a_unit_that_could_not_be_read_is_an_error_where_units_count() -> None:
    listed = [_listed(A, "web", path=None), _listed(B, "data")]
    assert _refused({}, listed, units=["Root"]) == f"the organisational unit of web ({A}) could not be read"
    assert choose_accounts({}, listed).ids == {"data": B, "web": A}


def test_an_id_that_is_listed_twice_is_an_error() -> None:
    assert f"the organisation lists {A} twice" in _refused({}, [_listed(A, "web"), _listed(A, "data")])


def test_every_problem_is_reported_up_to_a_bound() -> None:
    message = _refused({f"n{one}": None for one in range(30)}, [_listed(A, "web")])
    assert message.count("does not list it") == 20
    assert message.endswith("and 10 more")


_NAMES = st.sampled_from(["web", "data", "Web", "sandbox-1", "a b"])
_IDS = st.sampled_from([A, B, C, "444444444444", "555555555555"])
_PATHS = st.sampled_from(["Root", "Root/prod", "Root/prod/web", "Root/test"])
_ACCOUNTS = st.lists(
    st.builds(
        ListedAccount, account_id=_IDS, name=_NAMES, status=st.sampled_from(["ACTIVE", "SUSPENDED"]), path=_PATHS
    ),
    max_size=5,
    unique_by=lambda one: one.account_id,
)
_STATED = st.dictionaries(_NAMES, st.one_of(st.none(), _IDS), max_size=3)
_UNITS = st.lists(st.sampled_from(["Root", "Root/prod", "*/test"]), max_size=2)
_EXCLUDE = st.lists(st.sampled_from(["sandbox-*", "web", A, "*"]), max_size=2)


@given(stated=_STATED, listed=_ACCOUNTS, units=_UNITS, exclude=_EXCLUDE)
def test_every_listed_account_is_configured_once_or_left_out_once(
    stated: dict[str, str | None], listed: list[ListedAccount], units: list[str], exclude: list[str]
) -> None:
    found = _chosen(stated, listed, units, exclude)
    assert sorted([*found.ids.values(), *(one.account_id for one in found.left_out)]) == sorted(
        one.account_id for one in listed
    )


@given(stated=_STATED, listed=_ACCOUNTS, units=_UNITS, exclude=_EXCLUDE)
def test_a_configured_account_is_active_and_has_the_id_that_the_file_states(
    stated: dict[str, str | None], listed: list[ListedAccount], units: list[str], exclude: list[str]
) -> None:
    found = _chosen(stated, listed, units, exclude)
    by_id = {one.account_id: one for one in listed}
    for name, account_id in found.ids.items():
        assert by_id[account_id].status == "ACTIVE"
        assert stated.get(name) in (None, account_id)
        assert name in stated or by_id[account_id].name == name


@given(stated=_STATED, listed=_ACCOUNTS, units=_UNITS, exclude=_EXCLUDE)
def test_every_account_of_the_file_is_configured_left_out_or_an_error(
    stated: dict[str, str | None], listed: list[ListedAccount], units: list[str], exclude: list[str]
) -> None:
    found = _chosen(stated, listed, units, exclude)
    assert set(stated) <= {*found.ids, *(one.name for one in found.left_out)}


@given(stated=_STATED, listed=_ACCOUNTS, units=_UNITS, exclude=_EXCLUDE, seed=st.integers(0, 100))
def test_the_order_of_the_list_changes_nothing(
    stated: dict[str, str | None], listed: list[ListedAccount], units: list[str], exclude: list[str], seed: int
) -> None:
    other = random.Random(seed).sample(listed, len(listed))
    assert _outcome(stated, listed, units, exclude) == _outcome(stated, other, units, exclude)


@given(stated=_STATED, listed=_ACCOUNTS)
def test_stating_the_ids_that_were_found_finds_the_same(
    stated: dict[str, str | None], listed: list[ListedAccount]
) -> None:
    found = _chosen(stated, listed, [], [])
    assert choose_accounts({**stated, **found.ids}, listed).ids == found.ids


def _chosen(
    stated: dict[str, str | None], listed: list[ListedAccount], units: list[str], exclude: list[str]
) -> ChosenAccounts:
    try:
        return choose_accounts(stated, listed, units=units, exclude=exclude)
    except InputError:
        assume(False)
        raise


def _outcome(
    stated: dict[str, str | None], listed: list[ListedAccount], units: list[str], exclude: list[str]
) -> ChosenAccounts | str:
    try:
        return choose_accounts(stated, listed, units=units, exclude=exclude)
    except InputError as exc:
        return exc.message
