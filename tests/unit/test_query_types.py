"""The program that generates typed queries: what is there is up to date, and what is wrong in SQL is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from landscape.whole import ROOT
from whence_aggregator.storage import named_queries

PROGRAM = ROOT / "packaging" / "queries.py"
_DESCRIBE = """
import runpy, sys
program = runpy.run_path(sys.argv[1])
try:
    found = program["Describer"]().describe("asked", sys.argv[2], {})
    print(found.parameters, found.columns)
except program["QueryRefused"] as exc:
    print(exc)
"""


def described(sql: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _DESCRIBE, PROGRAM, sql], capture_output=True, text=True, check=True
    )  # fmt: skip
    return done.stdout.strip()


def test_the_generated_modules_are_those_of_the_queries() -> None:
    done = subprocess.run([sys.executable, PROGRAM, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "sql, said",
    [
        ("select key_id from enrolment where number = :number;", "{'number': 'int'} {'key_id': 'bytes'}"),
        ("select e.body from entry e where {e.kind in texts kinds};", "{'kinds': 'str'} {'body': 'bytes | None'}"),
        ("-- types: n int\nselect count(*) as n from entry;", "{} {'n': 'int'}"),
        ("insert into entry (kind, base) values (:word, :other);", "{'word': 'str', 'other': 'int | None'} None"),
        ("delete from task where kind = :kind returning subject;", "{'kind': 'str'} {'subject': 'str'}"),
        ("select knid from entry;", "SQLite refuses it: no such column: knid"),
        (
            "select count(*) as n from entry;",
            "write the type of n in `-- types:`: no column of a table has it",
        ),
        (
            "select t.kind from task t left join fact f on f.kind = t.kind;",
            "it has a left join: write the types of columns that it makes null in `-- types:`",
        ),
        ("select kind from entry where base < :bound;", "write the type of bound in `-- types:`"),
        ("-- types: m int\nselect kind from entry;", "it has no parameter or column m, whose type is stated"),
        (
            "-- types: n number\nselect kind from entry;",
            "malformed type 'n number': write `name str`, `name int?` or the like",
        ),
    ],
)
def test_a_query_is_described_by_the_tables_it_names_or_refused_with_what_to_write(sql: str, said: str) -> None:
    assert described(sql) == said


def test_queries_of_a_file_share_a_text() -> None:
    file = "-- text: ended\nlife in ('terminated', 'gone');\n\n-- name: one\nselect 1 where {text ended};\n"
    assert named_queries.parse(file) == [("one", "select 1 where life in ('terminated', 'gone');\n")]


@pytest.mark.parametrize(
    "file",
    ["-- name: one\nselect 1 where {text ended};\n", "-- text: ended\nlife = '';\n-- name: one\nselect 1;\n"],
    ids=["that is missing", "that none uses"],
)
def test_a_text_that_is_missing_or_that_no_query_uses_is_an_error(file: str) -> None:
    with pytest.raises(AssertionError, match="ended"):
        named_queries.parse(file)
