"""Text of strangers in terminals and logs: JSON keeps its value, and no character of it acts on whoever reads it."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_agent.redaction import Redactor
from whence_common.problems import Problem, render
from whence_common.runtime.logs import JsonLines, fields
from whence_common.visible import printable, visible_json

HOSTILE = [
    "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x7f", "\x85", "a\rb", "\u202emoc.live", "\u2066x\u2069", "\u200b", "\ufeff",
    "\u2028", "\u2029", "\u00ad", "\u061c", "\U000e0041", "\U0001f469\u200d\U0001f680", "\ue000", "\U0010ffff",
]  # fmt: skip


def acts(text: str) -> list[str]:
    return [character for character in text if not character.isprintable() and character != "\n"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_json_escapes_control_characters_and_keeps_the_value(text: str) -> None:
    written = visible_json({text: [text]}, indent=2)
    assert acts(written) == []
    assert json.loads(written) == {text: [text]}


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(TEXT | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))


@given(VALUES)
def test_json_is_printable_for_any_value(value: object) -> None:
    written = visible_json(value, indent=2)
    assert acts(written) == []
    assert json.loads(written) == value


def test_printable_text_stays_readable_in_json() -> None:
    assert visible_json({"name": "Zoë — 東京 🚀"}) == '{"name": "Zoë — 東京 🚀"}'


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_log_line_is_one_line_that_acts_on_nothing(text: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "an event", (), None)
    record.__dict__.update(fields(said=f"a{text}b"))
    line = JsonLines(str).format(record)
    assert acts(line) == []
    assert "\n" not in line
    assert json.loads(line)["said"] == f"a{text}b"


def test_problems_quote_a_document_without_what_acts() -> None:
    problem = Problem(
        severity="error", code="x", line=1, column=1, path="", message="bad \u202etxt", fix="write \x1b[1m it"
    )
    shown = render([problem], name="u.yaml", lines=["a: \x1b[2Jb\u2067"])
    assert acts(shown) == []
    assert "a: \ufffd[2Jb\ufffd" in shown


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=5))
def test_a_secret_is_masked_also_where_json_escapes_it(secret: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    written = redactor.scrub(visible_json({"said": f"<{secret}>"}))
    assert json.loads(written)["said"] != f"<{secret}>"


@given(st.text())
def test_printable_text_is_printable(text: str) -> None:
    assert acts(printable(text)) == []
