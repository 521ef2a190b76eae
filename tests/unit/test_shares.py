"""Shares: a name holds as much as it leaves free, so whoever comes next finds room."""

from __future__ import annotations

from whence_aggregator.callers.shares import Shares


def taken(shares: Shares, name: str, factor: float = 1.0) -> int:
    """Claim one by one until it is refused."""
    return next(number for number in range(10_000) if shares.claim({name: factor}) is not None)


def test_one_alone_gets_a_half_and_who_comes_next_the_same_rule() -> None:
    shares = Shares(256)
    assert [taken(shares, "a"), taken(shares, "b"), taken(shares, "c")] == [128, 64, 32]
    assert shares.used == 224


def test_what_is_returned_is_free_again() -> None:
    shares = Shares(256)
    taken(shares, "a")
    shares.release({"a": 1.0}, 128)
    assert (shares.used, shares.held("a"), taken(shares, "b")) == (0, 0, 128)


def test_a_caller_gets_less_than_the_address_it_shares() -> None:
    shares, flooder = Shares(256), {"caller": 0.5, "address": 1.0}
    assert next(n for n in range(256) if shares.claim(flooder) is not None) == 85
    neighbour = {"neighbour": 0.5, "address": 1.0}
    assert next(n for n in range(256) if shares.claim(neighbour) is not None) == 43


def test_a_claim_says_what_stands_against_it() -> None:
    shares = Shares(4)
    assert [shares.claim({"a": 1.0}), shares.claim({"a": 1.0}), shares.claim({"a": 1.0})] == [None, None, "a"]
    assert shares.claim({}, 3) == ""
    assert shares.claim({}, 2) is None


def test_a_name_that_holds_nothing_is_told_that_others_hold_too_much() -> None:
    shares = Shares(4)
    for number in range(3):
        shares.claim({f"stranger-{number}": 1.0})
    assert shares.claim({"newcomer": 1.0}) == ""
    assert shares.claim({"stranger-1": 1.0}) == "stranger-1"
    assert shares.held("newcomer") == 0
