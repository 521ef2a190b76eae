"""What an agent stated about its machine beyond the lineage: containers, drift, credentials, its version. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_common.errors import InputError
from whence_common.statement import ContainerFacts, Predicate, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownContainer:
    """A container, and how the image that it runs compares with the one that was declared for it."""

    name: str
    state: str
    digest: str
    declared: str
    is_equal: bool
    started_at: str = ""
    restarts: int = 0
    health: str = ""
    error: str = ""


def stated_by_agent(envelope: object) -> Predicate | None:
    """Return the predicate of a statement's envelope; None if it is not a statement. Its signature was verified."""
    payload = envelope.get("payload") if isinstance(envelope, Mapping) else None
    if not isinstance(payload, str):
        return None
    try:
        return Statement.from_wire(base64.b64decode(payload, validate=True)).predicate
    except (InputError, ValueError):
        return None


def containers(stated: Predicate | None, image: Mapping[str, Any]) -> Sequence[ShownContainer]:
    """Return the containers by the statement; by the lineage, which has less, if the statement may not be read."""
    declared = str(image.get("digest") or "")
    if stated is not None:
        return [_by_statement(one, declared) for one in stated.containers]
    return [
        ShownContainer(
            name=str(one.get("name") or ""), state=str(one.get("state") or ""), digest=str(one.get("digest") or ""),
            declared=declared, is_equal=one.get("digest") == declared,
        )
        for one in image.get("containers") or ()
    ]  # fmt: skip


def _by_statement(one: ContainerFacts, declared: str) -> ShownContainer:
    own = one.declared_digest or declared
    return ShownContainer(
        name=one.name, state=one.state, digest=one.image_digest, declared=own, is_equal=one.image_digest == own,
        started_at=one.started_at, restarts=one.restarts, health=one.health or one.engine_health, error=one.error,
    )  # fmt: skip
