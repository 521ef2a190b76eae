"""The bytes that an agent signs to receive a token for one repository: one challenge, of one registry, for one key.

The agent derives the audience from the registry's name in user data, never from the registry's response. A proof for
one registry is therefore invalid at every other registry, and at the aggregator.
"""

from __future__ import annotations


def registry_audience(registry: str) -> str:
    """Return a registry's audience in proofs: the host, with its port, as in image references."""
    return f"registry:{registry}"


def pull_proof_content(*, audience: str, nonce: str, instance_id: str, repository: str, public_key: str) -> bytes:
    """Return the bytes that the proof signs. One line for each field, so that fields cannot be confused."""
    lines = ["whence-pull-v1", audience, nonce, instance_id, repository, public_key]
    assert not any("\n" in line for line in lines)
    return "\n".join(lines).encode()
