"""The program that generates typed queries: what is there is up to date, and what is wrong in SQL is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from landscape.whole import ROOT

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
