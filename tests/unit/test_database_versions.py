"""Which databases a program opens: its own version, older ones that it may migrate, and no other."""

from __future__ import annotations

import pytest

from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.storage.named_queries import OpenMode, check_version, migrations

STEPS = [(30, ""), (31, ""), (32, "")]


@pytest.mark.parametrize(
    ("version", "mode"),
    [(0, "make"), (30, "make"), (31, "make"), (32, "make"), (30, "migrate"), (32, "migrate"), (32, "read")],
)
def test_a_database_that_can_be_brought_to_this_version_is_opened(version: int, mode: OpenMode) -> None:
    check_version(version, STEPS, mode)


@pytest.mark.parametrize(
    ("version", "mode", "code", "message"),
    [
        (33, "make", "database-newer", "the database is of a newer version (33) than this program knows (32)"),
        (33, "read", "database-newer", "the database is of a newer version (33) than this program knows (32)"),
        (33, "migrate", "database-newer", "the database is of a newer version (33) than this program knows (32)"),
        (1, "make", "database-older", "a development version made the database, before the first release"),
        (29, "make", "database-older", "a development version made the database, before the first release"),
        (29, "migrate", "database-older", "a development version made the database, before the first release"),
        (0, "read", "database-empty", "the database holds no ledger"),
        (0, "migrate", "database-empty", "the database holds no ledger"),
        (31, "read", "database-older", "the database is of version 31, and this program reads version 32"),
    ],
)
def test_any_other_is_refused_for_good(version: int, mode: OpenMode, code: str, message: str) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        check_version(version, STEPS, mode)
    assert (caught.value.code, caught.value.message, caught.value.retryable) == (code, message, False)
    assert caught.value.fix


def test_both_stores_have_the_same_migrations_in_order() -> None:
    numbers = [[number for number, _ in migrations(dialect)] for dialect in ("sqlite", "postgres")]
    assert numbers[0] == numbers[1] == sorted(set(numbers[0]))
