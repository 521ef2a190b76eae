"""Rows become values at one place per capability: in its module `rows.py`, or one whose name ends in `_rows.py`.

Elsewhere no module imports the type of a row, or takes a column out of what `fetch`, `fetch_all` or `write_returning`
returns.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import whence_aggregator

(ROOT,) = map(Path, whence_aggregator.__path__)
_READS = {"fetch", "fetch_all", "write_returning"}
_NEIGHBOURS = ("storage", "queries", "adapters")
"""Rooms that are below or beside the database: `adapters` and `storage` fetch from other things than the port."""
_PASSED_ON = {"list", "tuple", "sorted", "reversed", "zip", "enumerate", "next", "anext", "iter"}


class _Function(ast.NodeVisitor):
    """Follows rows through one function by the names that they are given."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.lines: list[int] = []

    def visit(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value) if self._holds_rows(value):
                for target in targets:
                    self._name(target)
            case ast.AnnAssign(target=target, value=ast.expr() as value) if self._holds_rows(value):
                self._name(target)
            case ast.NamedExpr(target=target, value=value) if self._holds_rows(value):
                self._name(target)
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value) if self._holds_rows(
                value
            ):
                self._name(target)
            case ast.comprehension(target=target, iter=value) if self._holds_rows(value):
                self._name(target)
            case ast.Subscript(value=value, slice=ast.Constant(value=str())) if self._holds_rows(value):
                self.lines.append(node.lineno)
        self.generic_visit(node)

    def _name(self, target: ast.AST) -> None:
        self.names |= {one.id for one in ast.walk(target) if isinstance(one, ast.Name)}

    def _holds_rows(self, value: ast.expr) -> bool:
        match value:
            case ast.Name(id=name):
                return name in self.names
            case ast.Attribute(attr="found"):
                return True  # of a `Writing`: what was read first
            case ast.Await(value=inner) | ast.Subscript(value=inner) | ast.Starred(value=inner):
                return self._holds_rows(inner)
            case ast.Call(func=ast.Attribute(attr=name)) if name in _READS:
                return True
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in _PASSED_ON:
                return any(self._holds_rows(one) for one in arguments)
            case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
                return any(self._holds_rows(one) for one in parts)
            case ast.IfExp(body=body, orelse=other):
                return self._holds_rows(body) or self._holds_rows(other)
            case ast.ListComp(elt=elt, generators=generators) | ast.GeneratorExp(elt=elt, generators=generators):
                named = {one.target.id for one in generators if isinstance(one.target, ast.Name)}
                rows = any(self._holds_rows(one.iter) for one in generators)
                return rows and isinstance(elt, ast.Name) and elt.id in named
            case ast.DictComp(value=elt, generators=generators):
                named = {one.target.id for one in generators if isinstance(one.target, ast.Name)}
                rows = any(self._holds_rows(one.iter) for one in generators)
                return rows and isinstance(elt, ast.Name) and elt.id in named
        return False


def found_in(source: str) -> Iterator[str]:
    """Yield what a module outside of `rows.py` does with rows."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("whence_aggregator.queries"):
                yield from (f"{node.lineno}: imports {one.name}" for one in names if one.name.endswith("Row"))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                function = _Function()
                for _ in range(2):  # a name may be used before the line that gives it rows, in a loop
                    function.lines.clear()
                    function.visit(node)
                yield from (f"{line}: takes a column out of a row" for line in function.lines)


def test_no_module_but_those_of_rows_takes_columns_out_of_rows() -> None:
    found = set()
    for path in ROOT.rglob("*.py"):
        inside = path.relative_to(ROOT)
        if inside.parts[0] not in _NEIGHBOURS and not path.stem.endswith("rows"):
            found |= {f"{inside}:{one}" for one in found_in(path.read_text())}
    assert sorted(found) == []


_BAD = [
    "async def f(d):\n    for row in await d.fetch(q):\n        print(row['kind'])",
    "async def f(d):\n    rows = await d.fetch(q)\n    return rows[0]['kind'] if rows else None",
    "async def f(d):\n    (row,) = await d.fetch(q)\n    return row['kind']",
    "async def f(d):\n    one, other = await d.fetch_all(q)\n    return [each['kind'] for each in (*one, *other)]",
    "async def f(d):\n    known = {id(row): row for row in await d.fetch(q)}\n    return known[1]['kind']",
    "async def f(l):\n    async with l.writing(q) as writing:\n        return writing.found[0][0]['kind']",
    "from whence_aggregator.queries.trace import SEEN, SeenRow",
]


def test_rows_are_followed_through_names_loops_and_comprehensions() -> None:
    assert [len(list(found_in(source))) for source in _BAD] == [1] * len(_BAD)
    good = (
        "async def f(d, event):\n    rows = await d.fetch(q)\n    return [kind_of(row) for row in rows], event['kind']"
    )
    assert list(found_in(good)) == []
