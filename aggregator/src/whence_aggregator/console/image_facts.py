"""What the registry states of an image, by the ledger, and its pushes to the registry front."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.console.link_words import by_name
from whence_aggregator.console.page import Visit

_PUSHES_MAX = "50"
_LAYERS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReading:
    """What a reading of the registry found. An empty text, and None, are not stated."""

    ledger_index: int
    read_at: str
    signed_by: str = ""
    signatures: int | None = None
    built_by: str = ""
    created_at: str = ""
    sboms: int | None = None
    layers: Sequence[str] = ()
    notes: Sequence[str] = ()


async def image_in_registry(visit: Visit, lineages: Sequence[Mapping[str, Any]]) -> RegistryReading | None:
    """Return the newest reading that the lineages rest on; None if there is none, or the visitor may not read it."""
    read = [
        one
        for lineage in lineages[:1]
        for one in by_name(lineage)["image"]["evidence"]
        if one["source"] == "registry" and one["ledger_index"] is not None
    ]
    if not read:
        return None
    entry = await visit.ask.find(f"/v1/log/entries/{int(read[-1]['ledger_index'])}")
    return reading(entry) if entry is not None else None


def reading(entry: Mapping[str, Any]) -> RegistryReading | None:
    """Return what an entry states; None if its text is not shown, or is of another kind. Never raises."""
    try:
        fact = json.loads(entry["content"] or "")
        value = fact["value"] if fact["kind"] == "image-source" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return RegistryReading(
        ledger_index=int(entry["ledger_index"]),
        read_at=str(fact.get("observed_at") or ""),
        signed_by=str(value.get("signed_by") or ""),
        signatures=_number(value.get("signatures")),
        built_by=str(value.get("built_by") or ""),
        created_at=str(value.get("created_at") or ""),
        sboms=_number(value.get("sboms")),
        layers=[str(one) for one in _listed(value.get("layers"))[:_LAYERS_MAX]],
        notes=[str(one) for one in _listed(value.get("notes"))],
    )


async def pushes_of(visit: Visit, digest: str) -> Sequence[Mapping[str, Any]]:
    """Return the tags that name an image in the registry front; empty without a front."""
    found = await visit.ask.find("/v1/images", {"digest": digest, "limit": _PUSHES_MAX})
    pushes: Sequence[Mapping[str, Any]] = found["images"] if found is not None else ()
    return pushes


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
