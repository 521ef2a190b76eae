"""What an agent signs to bind its key: one challenge, of one aggregator, for one identity and one key."""

from __future__ import annotations

import hashlib

KEY_HEADER = "Whence-Key"
"""Names the key that a challenge is asked for, by its id: a key of its own has an allowance of its own."""


def proof_content(*, audience: str, nonce: str, identity: str, public_key: str) -> bytes:
    """Give the bytes under an enrolment's proof. Lines, so that no field can run into the next.

    White space in the identity's base64 does not count.
    """
    identity_digest = hashlib.sha256("".join(identity.split()).encode()).hexdigest()
    lines = ["whence-enrolment-v1", audience, nonce, identity_digest, public_key]
    assert not any("\n" in line for line in lines)
    return "\n".join(lines).encode()
