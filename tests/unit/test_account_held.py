"""What is compared only, and what stands in something foreign: remarks in place of changes."""

from __future__ import annotations

import pytest

from whence_aggregator.accounts.difference import Allowed, compare
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, of, resolved

_HOUSE = ResourceKind(name="house", step="houses", reads=(), writes=())
_ROOM = ResourceKind(name="room", step="houses", reads=(), writes=(), after=("house",))
_LISTED = WantedResource(kind=_HOUSE, name="a", state={"colour": "red"})
_KITCHEN = WantedResource(kind=_ROOM, name="kitchen", state={"house": of("house/a", "id")}, within=("house/a",))


def _house(*, is_own: bool, colour: str = "red") -> StandingResource:
    return StandingResource(kind=_HOUSE, name="a", state={"colour": colour}, is_own=is_own, outputs={"id": "h-1"})


def test_nothing_is_created_in_what_is_foreign() -> None:
    found = compare([_LISTED, _KITCHEN], [_house(is_own=False)], Allowed(), frozenset())
    assert found.changes == ()
    assert [(one.address, one.kind, one.message, one.fix) for one in found.remarks] == [
        ("room/kitchen", "foreign", "create is not planned: house/a is not our own",
         "name it with --adopt 'house/a' to change what is in it")
    ]  # fmt: skip


def test_nothing_is_created_in_what_could_not_be_read() -> None:
    found = compare([_LISTED, _KITCHEN], [], Allowed(), frozenset({"house/a"}))
    assert found.changes == ()
    assert [(one.kind, one.message) for one in found.remarks] == [
        ("unread", "create is not planned: house/a could not be read")
    ]


@pytest.mark.parametrize(
    ("standing", "allowed"),
    [
        ([], Allowed()),
        ([_house(is_own=True)], Allowed()),
        ([_house(is_own=False)], Allowed(adopt=("house/*",))),
    ],
    ids=["absent", "own", "adopted"],
)
def test_what_is_own_absent_or_adopted_holds_new_resources(standing: list[StandingResource], allowed: Allowed) -> None:
    found = compare([_LISTED, _KITCHEN], standing, allowed, frozenset())
    assert "room/kitchen" in [one.address for one in found.changes]
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("standing", "message"),
    [
        ([], "it does not exist, and is only verified: not changed"),
        ([_house(is_own=True, colour="blue")], "it differs in colour, and is only verified: not changed"),
        ([_house(is_own=False, colour="blue")], "it differs in colour, and is only verified: not changed"),
    ],
)
def test_what_is_only_verified_becomes_a_remark(standing: list[StandingResource], message: str) -> None:
    verified = WantedResource(kind=_HOUSE, name="a", state={"colour": "red"}, is_verified=True)
    found = compare([verified], standing, Allowed(adopt=("*",), delete=("*",)), frozenset())
    assert found.changes == ()
    assert [(one.kind, one.message) for one in found.remarks] == [("foreign", message)]


def test_what_is_verified_and_as_stated_has_no_remark() -> None:
    verified = WantedResource(kind=_HOUSE, name="a", state={"colour": "red"}, is_verified=True)
    assert compare([verified], [_house(is_own=False)], Allowed(), frozenset()).remarks == ()


def test_a_list_of_references_is_sorted_once_all_are_known() -> None:
    rooms: Json = [of("room/a", "id"), of("room/b", "id")]
    outputs: dict[str, dict[str, Json]] = {"room/a": {"id": "r-9"}, "room/b": {"id": "r-1"}}
    assert resolved(rooms, outputs) == ["r-1", "r-9"]
    assert resolved(rooms, {"room/a": {"id": "r-9"}}) == ["r-9", of("room/b", "id")]
    assert resolved(["b", "a"], outputs) == ["b", "a"]


def test_what_is_left_of_a_step_that_is_only_verified_is_kept() -> None:
    verified = WantedResource(kind=_HOUSE, name="a", state={"colour": "red"}, is_verified=True)
    room = StandingResource(kind=_ROOM, name="kitchen", state={}, is_own=True)
    found = compare([verified], [_house(is_own=True), room], Allowed(delete=("*",)), frozenset())
    assert found.changes == ()
    assert [(one.address, one.kind) for one in found.remarks] == [("room/kitchen", "kept")]
