"""The table of the evidence in the README: made from its types, so that it shows what conditions may read. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES
from whence_aggregator.compliance.own.documented import ListType, MapType, Structure, ValueType, evidence_type

_LEFT_OUT = ("settings",)
"""What has a table of its own."""


def evidence_table() -> str:
    """Return the members of the evidence as a table in Markdown, with their types and the kinds that have them."""
    rows: dict[tuple[str, str], list[str]] = {}
    for kind in SUBJECTS_OF_RULES:
        for name, type_ in evidence_type(kind).members.items():
            if name not in _LEFT_OUT:
                rows.setdefault((name, shown_type(type_)), []).append(kind)
    lines = [f"| `{name}` | {', '.join(kinds)} | {type_} |" for (name, type_), kinds in rows.items()]
    return "\n".join(["| member | evidence about | type |", "|---|---|---|", *lines]) + "\n"


def shown_type(type_: ValueType) -> str:
    """Return a type in words; structures with their members."""
    if isinstance(type_, ListType):
        return f"list of {shown_type(type_.item)}"
    if isinstance(type_, MapType):
        keys = f" by {', '.join(f'`{one}`' for one in sorted(type_.keys))}" if type_.keys else ""
        return f"{shown_type(type_.value)}{keys}"
    if isinstance(type_, Structure):
        return f"({'; '.join(_members(type_))})"
    return type_


def _members(type_: Structure) -> Iterator[str]:
    for name, one in type_.members.items():
        yield f"`{name}` {shown_type(one)}"
