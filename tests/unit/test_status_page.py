"""What on-call reads of an instance: which application, what is wrong in which line, and nothing that says nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fakes.agent_world import World
from whence_agent.boot.bring_up import record
from whence_agent.boot.user_data import JudgedDocument
from whence_agent.status.document import status_document
from whence_agent.status.page import render_page
from whence_common.digest import sha256_digest
from whence_common.problems import Problem
from whence_common.statement import UserDataFacts
from whence_common.user_data.judge import judge
from whence_common.user_data.masking import masked
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.quoting import quoted_lines

MISTAKEN = b"""#taupage-ami-config
application_id: greeter
application_version: "1.1"
runtime: Dokcer
source: registry.example.org/team/greeter:1.1
environment:
  PASSWORD: hunter2
  MODE: greeter
ports:
  - hunter2
"""
BROKEN = b"#taupage-ami-config\nsource: a\n  PASSWORD: hunter2\n\tsecret: x\n"


def status_of(world: World, raw: bytes) -> dict[str, Any]:
    """Return the status of a machine whose user data has errors."""
    judgement = judge(raw, PlatformRules(immutable=frozenset({"registry.example.org"})))
    assert judgement.user_data is None
    document = masked(judgement.document) if judgement.document is not None else None
    facts = UserDataFacts(digest=sha256_digest(raw), document=document)
    quotes = quoted_lines(raw, judgement.problems, document)
    record(JudgedDocument(facts=facts, problems=judgement.problems, quotes=quotes), world.progress)
    world.progress.boot.state = "failed"
    return status_document(world.progress)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]))


def test_a_failed_boot_names_the_application_that_its_user_data_names(tmp_path: Path) -> None:
    page = render_page(status_of(World(tmp_path), MISTAKEN))
    assert "<title>failed: greeter 1.1</title>" in page


def test_an_application_that_is_not_named_yet_is_said_to_be_unknown(tmp_path: Path) -> None:
    page = render_page(status_document(World(tmp_path).progress))
    assert "<title>booting: the application is not known yet</title>" in page


def test_a_problem_quotes_its_line_and_keeps_fix_and_code_apart(tmp_path: Path) -> None:
    page = render_page(status_of(World(tmp_path), MISTAKEN))
    assert "<pre>runtime: Dokcer</pre>" in page
    problem = page[page.index("<div class=problem>") :]
    assert re.search(r"<p class=do>[^<]+</p><p class=quiet><code>[a-z-]+</code></p>", problem)


@pytest.mark.parametrize("raw", [MISTAKEN, BROKEN])
def test_no_line_that_is_quoted_shows_a_secret(tmp_path: Path, raw: bytes) -> None:
    status = status_of(World(tmp_path), raw)
    assert any("quote" in one for one in status["problems"])
    assert "hunter2" not in str(status)
    assert "hunter2" not in render_page(status)


def test_a_line_shows_a_value_for_the_key_that_the_masked_document_shows_it_for() -> None:
    at = {
        number: [Problem(severity="error", code="x", line=number, column=1, path="", message="", fix="")]
        for number in (2, 7, 8, 10, 11, 0)
    }
    document = masked({"application_id": "greeter", "environment": {"PASSWORD": "hunter2", "MODE": "greeter"}})
    shown = {number: quoted_lines(MISTAKEN, found, document).get(number) for number, found in at.items()}
    assert shown == {
        2: "application_id: greeter", 7: "  PASSWORD: …", 8: "  MODE: …", 10: "…", 11: None, 0: None,
    }  # fmt: skip


def test_the_page_shows_no_word_of_a_programming_language_and_no_empty_row(tmp_path: Path) -> None:
    text = text_of(render_page(status_of(World(tmp_path), MISTAKEN)))
    assert not re.search(r"\b(True|False|None|null)\b", text)
    page = render_page(status_of(World(tmp_path / "other"), MISTAKEN))
    assert "<code></code>" not in page


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    raw = MISTAKEN.replace(b"greeter\napplication_v", b"'<script>alert(1)</script>\xe2\x80\xae'\napplication_v")
    page = render_page(status_of(World(tmp_path), raw))
    assert "<script>" not in page
    assert "\u202e" not in page
