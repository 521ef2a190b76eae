"""One word, one meaning: no two modules define a public type of one name, and rules are named by their ids."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import whence_agent
import whence_aggregator
import whence_common
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.compliance.rules.catalogue import RULES

PACKAGES = (whence_agent, whence_aggregator, whence_common)
ONE_PER_PROGRAM = {"Settings"}
"""Each program has its settings, and no module imports those of two programs."""


def names_of_types() -> Iterator[tuple[str, str]]:
    """Yield the name of each public class and of each alias of a type, with its module."""
    for package in PACKAGES:
        (root,) = package.__path__
        for path in sorted(Path(root).rglob("*.py")):
            module = f"{package.__name__}.{path.relative_to(root).with_suffix('').as_posix().replace('/', '.')}"
            for node in ast.parse(path.read_text()).body:
                match node:
                    case (
                        ast.ClassDef(name=name)
                        | ast.Assign(targets=[ast.Name(id=name)])
                        | ast.AnnAssign(target=ast.Name(id=name))
                    ) if name[0].isupper() and not name.isupper():
                        yield name, module


def test_no_two_modules_define_a_type_of_the_same_name() -> None:
    modules = defaultdict(list)
    for name, module in names_of_types():
        modules[name].append(module)
    assert len(modules) > 500
    shared = {name: where for name, where in modules.items() if len(where) > 1 and name not in ONE_PER_PROGRAM}
    assert shared == {}, "name each type after the one thing that it means"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rules_function_is_named_by_its_id_and_its_module_by_the_ids_first_words(rule: Rule) -> None:
    assert rule.judge.__name__ == rule.id.replace("-", "_")
    room, _, module = rule.judge.__module__.rpartition(".")
    assert room == "whence_aggregator.compliance.rules"
    assert f"{rule.judge.__name__}_".startswith(f"{module}_")
