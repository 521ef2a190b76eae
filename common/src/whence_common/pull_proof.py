"""What an agent signs to be given a token for one repository: one challenge, of one registry, for one key.

The agent takes the audience from the name by which its user data names the registry, never from what that registry
says: a proof that was coaxed out of it for one registry is worthless at every other, and at the aggregator.
"""

from __future__ import annotations


def registry_audience(registry: str) -> str:
    """Name a registry in proofs: by the host, with its port, that images are named by."""
    return f"registry:{registry}"


def pull_proof_content(*, audience: str, nonce: str, instance_id: str, repository: str, public_key: str) -> bytes:
    """Give the bytes under the proof. Lines, so that no field can run into the next."""
    lines = ["whence-pull-v1", audience, nonce, instance_id, repository, public_key]
    assert not any("\n" in line for line in lines)
    return "\n".join(lines).encode()
