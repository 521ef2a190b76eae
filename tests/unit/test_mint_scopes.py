"""Scopes of STUPS's services as rights to write credentials."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from whence_aggregator.callers.caller import WRITE_ALL, WRITE_ALL_SENSITIVE, WRITE_SENSITIVE
from whence_aggregator.callers.stups_people import Person, caller_of


@pytest.mark.parametrize(
    ("scope", "rights"),
    [
        ("application.write_sensitive", {WRITE_SENSITIVE}),
        ("application.write_all_sensitive", {WRITE_ALL_SENSITIVE}),
        ("application.write", set()),
        ("application.write_all", {WRITE_ALL}),
        ("application.write_sensitive_x", set()),
        ("APPLICATION.WRITE_SENSITIVE", set()),
    ],
)
def test_each_scope_is_a_right_of_its_own(scope: str, rights: set[str]) -> None:
    person = Person(uid="robot", realm="/services", scopes=frozenset({"uid", scope}))
    caller = caller_of(person, "token", reads="organisation", now=datetime(2026, 11, 22, tzinfo=UTC))
    assert caller.rights == rights


def test_a_right_to_credentials_reads_and_writes_nothing_else() -> None:
    """Only WRITE_ALL has that effect, and not the rights that are named alike."""
    scopes = frozenset({"uid", "application.write_sensitive", "application.write_all_sensitive"})
    person = Person(uid="robot", realm="/services", scopes=scopes)
    caller = caller_of(person, "token", reads="teams", now=datetime(2026, 11, 22, tzinfo=UTC))
    assert (caller.reads_everything, caller.may_write("hello"), caller.may_operate) == (False, False, False)
    assert caller.not_written == "the scope application.write is missing"
