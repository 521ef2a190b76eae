"""The types of the documented evidence, as conditions see it, by kind of subject. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import msgspec
from msgspec import inspect

from whence_aggregator.compliance.evidence import SubjectEvidence, SubjectOfRule
from whence_aggregator.compliance.own.known import known_only

Scalar = Literal["bool", "int", "double", "string", "timestamp", "duration"]


@dataclass(frozen=True, slots=True)
class ListType:
    item: ValueType


@dataclass(frozen=True, slots=True)
class MapType:
    """Members by keys: `keys` are those that may be there, None for any."""

    value: ValueType
    keys: frozenset[str] | None


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """A structure of the evidence with its members."""

    name: str
    members: Mapping[str, ValueType]


ValueType = Scalar | ListType | MapType | Structure

_OF_KIND: Mapping[SubjectOfRule, tuple[str, ...]] = MappingProxyType({
    "instance": (
        "now", "links", "life", "life_since", "machine", "heard", "cloud", "ami", "ami_content", "machine_image",
        "image", "build", "source", "commit", "tickets", "application", "reads",
    ),
    "version": (
        "now", "links", "machine", "image", "build", "scans", "source", "commit", "tickets", "application", "reads",
    ),
    "application": ("now", "links", "application"),
    "ami": ("now", "ami", "ami_content"),
    "account": ("now", "account"),
})  # fmt: skip
"""What is gathered about each kind."""
_OF_MACHINE_OF_VERSION = ("runs",)
ALWAYS = ("kind", "id", "settings")


def evidence_type(kind: SubjectOfRule) -> Structure:
    """Return the type of the evidence about a kind of subject."""
    return _TYPES[kind]


def unknown_members(given: object, type_: ValueType, path: str = "") -> Iterator[str]:
    """Return the paths of members in an example that the evidence does not have."""
    if isinstance(type_, ListType) and isinstance(given, list):
        for number, one in enumerate(given):
            yield from unknown_members(one, type_.item, f"{path}[{number}]")
    if not isinstance(given, dict) or not isinstance(type_, (Structure, MapType)):
        return
    for name, one in given.items():
        at = f"{path}.{name}" if path else str(name)
        if isinstance(type_, Structure):
            if name not in type_.members:
                yield at
            else:
                yield from unknown_members(one, type_.members[name], at)
        elif type_.keys is not None and name not in type_.keys:
            yield at
        else:
            yield from unknown_members(one, type_.value, at)


def without_nulls(document: Any) -> Any:
    """Return a document without its null members: they are not known, as absent ones are."""
    if isinstance(document, dict):
        return {name: without_nulls(one) for name, one in document.items() if one is not None}
    if isinstance(document, (list, tuple)):
        return [without_nulls(one) for one in document]
    return document


def _evidence_type(kind: SubjectOfRule) -> Structure:
    whole = _of_type(inspect.type_info(SubjectEvidence))
    assert isinstance(whole, Structure)
    members = {name: one for name, one in whole.members.items() if name in (*ALWAYS, *_OF_KIND[kind])}
    machine = members.get("machine")
    if kind == "version" and isinstance(machine, Structure):
        some = {name: machine.members[name] for name in _OF_MACHINE_OF_VERSION}
        members["machine"] = Structure("machine of a version", some)
    return Structure(f"evidence about {kind}", members)


def _of_type(found: inspect.Type) -> ValueType:
    if isinstance(found, inspect.UnionType):
        (one,) = (one for one in found.types if not isinstance(one, inspect.NoneType))
        return _of_type(one)
    if isinstance(found, inspect.StructType):
        return Structure(found.cls.__name__, {one.name: _of_type(one.type) for one in found.fields})
    if isinstance(found, inspect.DictType):
        keys = found.key_type
        literal = frozenset(str(one) for one in keys.values) if isinstance(keys, inspect.LiteralType) else None
        return MapType(_of_type(found.value_type), literal)
    if isinstance(found, (inspect.VarTupleType, inspect.ListType)):
        return ListType(_of_type(found.item_type))
    if isinstance(found, inspect.BoolType):
        return "bool"
    if isinstance(found, inspect.IntType):
        return "int"
    if isinstance(found, inspect.FloatType):
        return "double"
    assert isinstance(found, (inspect.StrType, inspect.LiteralType)), found
    return "string"


_TYPES: Mapping[SubjectOfRule, Structure] = MappingProxyType(
    {kind: _evidence_type(kind) for kind in get_args(SubjectOfRule)}
)


def document_of(evidence: SubjectEvidence) -> dict[str, Any]:
    """Return the evidence as conditions see it: the documented members about its kind, without those not known."""
    members = evidence_type(evidence.kind).members
    found: dict[str, Any] = {
        name: without_nulls(msgspec.to_builtins(one))
        for name in members
        if (one := getattr(evidence, name)) is not None
    }
    return known_only(found)
