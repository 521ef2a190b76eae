"""A facet of progress changes only by its own methods, called by the package that owns it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import whence_agent
from whence_agent.progress.boot_progress import BootProgress
from whence_agent.progress.credential_status import CredentialStatus
from whence_agent.progress.delivered import Delivered
from whence_agent.progress.watched_state import WatchedState

ROOT = Path(whence_agent.__path__[0])
FACETS = {"boot": BootProgress, "watched": WatchedState, "delivered": Delivered, "credentials": CredentialStatus}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent.name != "progress")
MAY_CHANGE = {
    "boot": {"boot"},
    "watched": {"watch", "boot"},
    "delivered": {"report", "watch"},
    "credentials": {"credentials"},
}
"""Further writers: the boot records the containers that it started, and draining records unsent signals."""
_CHANGING = ("record", "clear", "mark", "set_", "begin_", "end_", "give_up")


def _of_a_facet(node: ast.expr) -> str:
    """Return the facet whose attribute or method a node names, as in `self._progress.boot.state`; else nothing."""
    match node:
        case ast.Attribute(value=ast.Attribute(attr=facet, value=owner)) if facet in FACETS:
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            return facet if name.lstrip("_") == "progress" else ""
    return ""


def _assigned(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets):
                yield from targets
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                yield target
            case ast.Tuple(elts=elements, ctx=ast.Store()):
                yield from elements
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()):
                yield value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_assigns_to_a_facet(path: Path) -> None:
    names = {field.name for facet in FACETS.values() for field in fields(facet)}
    for node in _assigned(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Attribute):
            continue
        assert not _of_a_facet(node), f"line {node.lineno}: call a method of the facet"
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        is_alias = owner in {*FACETS, "state", "progress"} and node.attr in names
        assert not is_alias, f"line {node.lineno}: call a method of the facet"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_owning_package_changes_a_facet(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            facet, method = _of_a_facet(node.func), node.func.attr
            if facet and method.startswith(_CHANGING):
                assert room in MAY_CHANGE[facet], f"line {node.lineno}: {room} changes {facet}"
