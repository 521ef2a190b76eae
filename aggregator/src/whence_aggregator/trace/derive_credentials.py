"""Which generations of its credentials an instance holds, as a trace shows them. Pure."""

from __future__ import annotations

import msgspec

from whence_aggregator.trace.facts import Facts
from whence_common.statement import (
    CREDENTIAL_FILES,
    CredentialObjectFacts,
    is_credential_generation,
    is_credential_version,
)


def credentials_shown(facts: Facts) -> dict[str, object]:
    """Return the member `credentials` of an instance; none if its agent states no objects."""
    found = facts.statement.predicate.credentials
    if found is None or found.objects is msgspec.UNSET:
        return {}
    stated = [one for one in found.objects if one.file in CREDENTIAL_FILES]
    return {"credentials": [_shown(facts, one) for one in stated[: len(CREDENTIAL_FILES)]]}


def _shown(facts: Facts, stated: CredentialObjectFacts) -> dict[str, object]:
    """Return one object. `held_since` and `minted_at`, when mint began to make it, are null where not known."""
    generation = stated.generation if is_credential_generation(stated.generation) else ""
    held = facts.credentials.held if facts.credentials is not None else None
    known = next((one for one in held or () if (f"{one.kind}.json", one.generation) == (stated.file, generation)), None)
    return {
        "file": stated.file,
        "generation": generation or None,
        "version_id": stated.version_id if is_credential_version(stated.version_id) else None,
        "held_since": known.since if known is not None else None,
        "minted_at": (known.intended_at or None) if known is not None else None,
    }
