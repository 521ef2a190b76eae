"""Lineages as graphs: labels from outside are never syntax of Mermaid or Graphviz, and equal nodes are one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.facts import AT, FOUND, answer, facts, lineage
from whence_aggregator.whence.graph import NODES_MAX, LineageGraph

HOSTILE = [
    '"]; evil', "end", "`**md**`", "<img src=x onerror=alert(1)>", "x]:::confirmed", "a --> b", "%%{init: {}}%%", "#quot;",
    "&quot;", "click n0 href \"javascript:alert(1)\"", "\\", '\\"', "\\N", "\\l", "a\nb", "{x}", "(x)", "[x]", "|x|", "@{ shape: x }",
    "\u202e", "\x1b[31m", "subgraph", "n0; n1", "1. one", "- item", "$$x$$", "x" * 10_000, "‘’“”", "\u2028",
]  # fmt: skip


def graph(*texts: str) -> LineageGraph:
    found = LineageGraph()
    for text in texts:
        value = {**FOUND.value, "author": text, "subject": text, "message": "x"}
        known = facts(
            commit=answer("found", **value), kio={"team_id": text, "name": text}, life="running", life_since=AT
        )
        found.add(lineage(known).to_wire())
    return found


MERMAID = re.compile(
    r"flowchart TB|  n\d+\[\"[a-z ]+#44; (?:confirmed|asserted|contradicted|missing|unknown)#?:"
    r"(?:[A-Za-z0-9 ._/:\u00a1-\U0010ffff-]|#\d+;)*\"\]:::[a-z]+|  n\d+ --> n\d+|  classDef [a-z]+ stroke:#[0-9a-f]{6},stroke-width:2px"
)
DOT = re.compile(
    r"digraph lineage \{|  node \[shape=box\];|  n\d+ \[label=\"(?:[^\"\\]|\\\\|\\\")*\", color=\"#[0-9a-f]{6}\"\];|  n\d+ -> n\d+;|\}"
)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_label_is_syntax(text: str) -> None:
    for lines, form in ((graph(text).mermaid(), MERMAID), (graph(text).dot(), DOT)):
        for line in lines:
            assert form.fullmatch(line), line
            assert line.isprintable()


@given(st.text(max_size=40))
def test_whatever_a_label_holds_the_lines_keep_their_form(text: str) -> None:
    assert all(MERMAID.fullmatch(line) for line in graph(text).mermaid())
    assert all(DOT.fullmatch(line) for line in graph(text).dot())


def test_what_lineages_share_is_one_node() -> None:
    assert list(graph("x").dot()) == list(graph("x", "x").dot())
    one, two = (sum("label" in line for line in graph(*texts).dot()) for texts in (("x",), ("x", "y")))
    assert two - one == 3  # team, application and commit differ; the rest is shared


def test_a_graph_is_bounded_and_counts_what_it_leaves_out() -> None:
    found = graph(*(f"team{number}" for number in range(1_000)))
    assert sum("label" in line for line in found.dot()) <= NODES_MAX
    assert found.left_out > 800


def names(lines: Any) -> set[str]:
    return {match[0] for line in lines for match in re.finditer(r"n\d+", line)}


def test_every_node_is_reached_by_an_edge() -> None:
    lines = list(graph("x").mermaid())
    edges = [line for line in lines if "-->" in line]
    assert names(edges) == names(line for line in lines if ":::" in line)
