"""Masking by origin: no output contains a decrypted value, in any quoted form."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.agent_world import World
from whence_agent.redaction import Redactor
from whence_agent.status.document import status_document
from whence_agent.status.page import render_page
from whence_common.problems import Problem
from whence_common.runtime.logs import JsonLines, fields

SECRET = 'hunter2"\\ü/%\nsecond line'


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made.learn(SECRET)
    return made


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        quote(SECRET),
        "x second line y",
    ],
)
def test_a_secret_is_masked_in_any_quoting(redactor: Redactor, text: str) -> None:
    scrubbed = redactor.scrub(f"before {text} after")
    assert "hunter2" not in scrubbed
    assert "second line" not in scrubbed
    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")


def test_nested_values_are_masked_and_the_rest_is_unchanged(redactor: Redactor) -> None:
    value: Any = {"a": [SECRET, 1, None, {"b": f"x{SECRET}"}], "c": True}
    assert redactor.scrub_all(value) == {"a": ["MASKED", 1, None, {"b": "xMASKED"}], "c": True}


@given(st.text(min_size=5), st.text(), st.text())
def test_no_secret_of_some_length_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    scrubbed = redactor.scrub(before + secret + after)
    assert scrubbed.count("MASKED") >= 1


def test_a_short_value_is_not_masked() -> None:
    redactor = Redactor()
    redactor.learn("8080")
    assert redactor.scrub("port 8080") == "port 8080"


def test_the_oldest_secrets_are_dropped_at_the_bound() -> None:
    redactor = Redactor()
    for number in range(5_000):
        redactor.learn(f"password-number-{number}")
    assert redactor.scrub("password-number-4999") == "MASKED"
    assert int(repr(redactor).partition("(")[2].split()[0]) <= 1_000


def test_no_log_line_contains_a_secret(redactor: Redactor) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(redactor.scrub))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("event", extra=fields(reason=SECRET))
    assert "hunter2" not in stream.getvalue()
    json.loads(stream.getvalue())


def test_statement_status_and_page_contain_no_secret(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.redactor.learn(SECRET)
    problem = Problem(
        severity="error", code="engine-refused", line=0, column=0, path="", message=f"bad {SECRET}", fix=""
    )
    boot = world.progress.boot
    boot.record_observed(replace(boot.observed, problems=(problem,)))
    world.progress.watched.engine_error = f"the engine said {SECRET}"
    world.progress.boot.state = "up"
    world.reporter.report("failed")
    (statement,) = world.statements()
    assert statement.problems[0]["message"] == "bad MASKED"
    document = world.redactor.scrub_all(status_document(world.progress))
    assert "hunter2" not in json.dumps(document)
    assert "hunter2" not in render_page(document)
