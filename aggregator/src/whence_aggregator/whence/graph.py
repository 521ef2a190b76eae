"""Lineages as one graph, for Mermaid and for Graphviz. Pure: labels are text from outside and never syntax.

What two lineages share, such as an image, is one node if both know the same about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from whence_aggregator.whence.picture import value_text
from whence_common.visible import printable

NODES_MAX = 500
"""The most nodes of a graph: Mermaid refuses more edges than about this."""
_LABEL_CHARACTERS_MAX = 160
_EDGES = (
    ("account", "instance"), ("instance", "ami"), ("instance", "user_data"), ("user_data", "application"),
    ("team", "application"), ("application", "version"), ("version", "approval"), ("version", "image"),
    ("image", "source"), ("source", "commit"), ("commit", "review"), ("commit", "ticket"), ("ticket", "specification"),
)  # fmt: skip
_COLOURS = {
    "confirmed": "#2da44e", "asserted": "#0969da", "contradicted": "#cf222e", "missing": "#bf8700",
    "unknown": "#8250df",
}  # fmt: skip
_PLAIN = re.compile(r"[^A-Za-z0-9 ._/:\u00a1-\U0010ffff-]")
"""What Mermaid may take for syntax, even within quotes: brackets, quotes, `#`, `;`, `@`, backticks and more."""


class LineageGraph:
    """Collects the nodes and edges of lineages."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, str, str], str] = {}
        self._edges: dict[tuple[str, str], None] = {}
        self.left_out = 0
        """Lineages that would have made the graph too large."""

    def add(self, lineage: Mapping[str, Any]) -> None:
        """Add a lineage, or count it if the graph would be too large."""
        keys = {link["link"]: _key(link) for link in lineage["links"]}
        if len(self._nodes.keys() | set(keys.values())) > NODES_MAX:
            self.left_out += 1
            return
        names = {link: self._nodes.setdefault(key, f"n{len(self._nodes)}") for link, key in keys.items()}
        for one, other in _EDGES:
            if one in names and other in names:
                self._edges[names[one], names[other]] = None

    def mermaid(self) -> Iterator[str]:
        """Yield the lines of a Mermaid flowchart."""
        yield "flowchart TB"
        for (link, state, text), name in self._nodes.items():
            yield f'  {name}["{_mermaid(_label(link, state, text))}"]:::{_state(state)}'
        for one, other in self._edges:
            yield f"  {one} --> {other}"
        for state, colour in _COLOURS.items():
            yield f"  classDef {state} stroke:{colour},stroke-width:2px"

    def dot(self) -> Iterator[str]:
        """Yield the lines of a graph for Graphviz."""
        yield "digraph lineage {"
        yield "  node [shape=box];"
        for (link, state, text), name in self._nodes.items():
            yield f'  {name} [label="{_dot(_label(link, state, text))}", color="{_COLOURS[_state(state)]}"];'
        for one, other in self._edges:
            yield f"  {one} -> {other};"
        yield "}"


def _key(link: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(link["link"]), str(link["state"]), value_text(link) or printable(link["reason"] or "")


def _label(link: str, state: str, text: str) -> str:
    return printable(f"{link.replace('_', ' ')}, {state}: {text}")[:_LABEL_CHARACTERS_MAX]


def _state(state: str) -> str:
    return state if state in _COLOURS else "unknown"


def _mermaid(text: str) -> str:
    """Return text for a quoted label: Mermaid knows no backslash, only the numbers of characters."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", text)


def _dot(text: str) -> str:
    """Return text for a quoted label: a backslash begins an escape of Graphviz, and a quote ends the label."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
