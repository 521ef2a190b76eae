"""Errors: what is told of several at once."""

from __future__ import annotations

from whence_common.errors import InputError, RoadError, leaves


def test_what_went_wrong_is_found_in_groups_within_groups() -> None:
    one, two = InputError("a", "first"), RoadError("b", "second")
    assert leaves(BaseExceptionGroup("", [BaseExceptionGroup("", [one]), two])) == [one, two]


def test_the_leaves_of_a_single_error_are_that_error() -> None:
    alone = OSError("third")
    assert leaves(alone) == [alone]
