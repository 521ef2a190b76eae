"""Whatever condition a user writes: less evidence never makes a pass, and more never turns a fail into not knowing."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.test_rule_properties import EXAMPLES, PIECES, documents, pieces, without
from whence_aggregator.adapters.rule_engine import ConditionEngine
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.own.checking import check
from whence_aggregator.compliance.own.documented import (
    ListType,
    MapType,
    Structure,
    ValueType,
    document_of,
    evidence_type,
)
from whence_aggregator.compliance.own.expression import written
from whence_aggregator.compliance.own.syntax import parse

ENGINE = ConditionEngine()
TEXTS = ("''", "'unknown'", "'confirmed'", "'missing'", "'found'", "'running'", "'something'", "'release'")
LEFT_OUT = ("kind", "id", "settings", "now")


def condition(chance: random.Random, type_: Structure, depth: int = 0) -> str:
    """Return a random condition about the members of a structure."""
    if depth < 3 and chance.random() < 0.6:
        some = [condition(chance, type_, depth + 1) for _ in range(3)]
        return chance.choice([
            f"!({some[0]})", f"({some[0]} && {some[1]})", f"({some[0]} || {some[1]})",
            f"({some[0]} ? {some[1]} : {some[2]})",
        ])  # fmt: skip
    names = [name for name in type_.members if name not in LEFT_OUT]
    return about(chance, *member(chance, chance.choice(names), type_), depth)


def member(chance: random.Random, name: str, of: Structure) -> tuple[str, ValueType]:
    """Return a path to something that is neither a structure nor a map."""
    path, type_ = name, of.members[name]
    while isinstance(type_, (Structure, MapType)):
        one = chance.choice(sorted(type_.members if isinstance(type_, Structure) else type_.keys or ()))
        type_ = type_.members[one] if isinstance(type_, Structure) else type_.value
        path = f"{path}.{one}"
    return path, type_


def about(chance: random.Random, path: str, type_: ValueType, depth: int) -> str:
    if isinstance(type_, ListType):
        macro = chance.choice(("all", "exists", "exists_one", "filter"))
        inner = (
            about(chance, *in_one(member(chance, chance.choice(sorted(type_.item.members)), type_.item)), depth)
            if isinstance(type_.item, Structure) else about(chance, "one", type_.item, depth)
        )  # fmt: skip
        found = f"{path}.{macro}(one, {inner})"
        return f"size({found}) {chance.choice(('==', '!=', '<'))} 1" if macro == "filter" else found
    if type_ == "bool":
        return chance.choice((path, f"{path} == true", f"{path} != true"))
    if type_ == "int":
        return f"{path} {chance.choice(('==', '!=', '<', '>='))} {chance.randrange(3)}"
    if type_ == "double":
        return f"{path} < {chance.randrange(3)}.0"
    text = chance.choice(TEXTS)
    return chance.choice((f"{path} == {text}", f"{path} != {text}", f"{path} in [{text}, 'x']", f"{path}.contains({text})",
                          f"size({path}) == 0", f"timestamp({path}) < timestamp('2026-11-01T00:00:00Z')"))  # fmt: skip


def in_one(found: tuple[str, ValueType]) -> tuple[str, ValueType]:
    return f"one.{found[0]}", found[1]


def outcome(engine_text: str, document: dict[str, Any]) -> str:
    found = ENGINE.evaluate(engine_text, document_of(msgspec.convert(document, SubjectEvidence))).outcome
    return "unknown" if found is None else "pass" if found else "fail"


def states_what_was_not_read(document: dict[str, Any], piece: tuple[str, str]) -> bool:
    """Return whether a piece is a fact that a read failed: what that read could deny is hidden because of it."""
    name, member = piece
    if name == "links":
        shown = [one for one in ("source", "review") if member in ("", one)]
        return any(document["links"].get(one, {}).get("state") == "unknown" for one in shown)
    if name == "machine":
        return member in ("", "user_data") and document["machine"].get("user_data") == "unreadable"
    return name == "reads" and any(one.get("outcome", "read") != "read" for one in document["reads"])


@settings(max_examples=EXAMPLES, deadline=None)
@given(documents, st.integers(0, 2**32), st.data())
def test_less_evidence_never_passes_and_more_never_turns_a_fail_into_not_knowing(
    document: dict[str, Any], seed: int, data: st.DataObject
) -> None:
    type_, chance = evidence_type(document["kind"]), random.Random(seed)
    if not set(type_.members) - set(LEFT_OUT):
        return
    every = pieces(document)
    start = data.draw(st.integers(0, max(len(every) - 1, 0)))
    for _ in range(3):
        text = condition(chance, type_)
        tree = parse(text)
        check(tree, type_)
        whole = outcome(written(tree), document)
        for piece in (every[start:] + every[:start])[:PIECES]:
            if states_what_was_not_read(document, piece):
                continue
            less = outcome(written(tree), without(document, piece))
            assert not (whole in ("fail", "unknown") and less == "pass"), (text, piece, "taken away")
            assert not (less == "fail" and whole == "unknown"), (text, piece, "added")
