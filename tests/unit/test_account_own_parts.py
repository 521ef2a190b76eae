"""Parts of a resource: those that we wrote are removed with their key, those of others are left, and warnings."""

from __future__ import annotations

from whence_aggregator.accounts.difference import Allowed, compare
from whence_aggregator.accounts.plan import Change, Remark
from whence_aggregator.accounts.resources import Kind, Standing, Wanted

_BOX = Kind(name="box", step="boxes", reads=("boxes:List",), writes=("boxes:Put",))


def _stands(*, is_own: bool = True, surplus: tuple[str, ...] = (), foreign: tuple[str, ...] = ()) -> Standing:
    state = {"lid": "blue", "label:old": "x"}
    return Standing(kind=_BOX, name="a", state=state, is_own=is_own, surplus=surplus, foreign=foreign)


_WANTED = Wanted(kind=_BOX, name="a", state={"lid": "blue"})


def test_a_part_of_ours_that_is_no_longer_stated_is_removed_first() -> None:
    changed = Wanted(kind=_BOX, name="a", state={"lid": "red"})
    found = compare([changed], [_stands(surplus=("label:old",))], Allowed(), frozenset())
    (change,) = found.changes
    assert change == Change(
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
    stands = Standing(kind=_BOX, name="a", state={"lid": "blue"}, is_own=True, warnings=("the hinge is loose",))
    found = compare([_WANTED], [stands], Allowed(), frozenset())
    assert found.changes == ()
    assert found.remarks == (Remark(address="box/a", step="boxes", kind="warning", message="the hinge is loose"),)
