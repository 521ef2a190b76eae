"""The bytes that an agent signs to enrol its key: one challenge of one aggregator, for one identity and one key."""

from __future__ import annotations

import hashlib

KEY_HEADER = "Whence-Key"
"""Request header with the id of the key that a challenge is requested for: requests are limited for each key."""


def proof_content(*, audience: str, nonce: str, identity: str, public_key: str) -> bytes:
    """Return the bytes that an enrolment's proof signs. One line for each field, so that fields cannot be confused.

    White space in the identity's base64 is ignored.
    """
    identity_digest = hashlib.sha256("".join(identity.split()).encode()).hexdigest()
    lines = ["whence-enrolment-v1", audience, nonce, identity_digest, public_key]
    assert not any("\n" in line for line in lines)
    return "\n".join(lines).encode()
