"""The current proof of identity: parts of a GetCallerIdentity request that the instance identity role's keys sign."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.sigv4 import signed_headers
from whence_agent.ports import MetadataUnavailable
from whence_common.sts_proof import BODY, StsProof, headers_to_sign, sts_host

_HAS_NONE = ("metadata-refused", "metadata-role", "metadata-too-large")


class IdentityProver:
    """Signs with the instance identity role's keys, which only this instance has."""

    def __init__(self, *, metadata: ImdsMetadata, now: Callable[[], datetime]) -> None:
        self._metadata = metadata
        self._now = now

    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        """Return the proof; None if the metadata service has no such keys. Raises MetadataUnavailable.

        An unreachable service is an error; one that refuses the request, or returns malformed keys, has none.
        """
        try:
            keys = await self._metadata.identity_keys()
        except MetadataUnavailable as exc:
            if exc.code in _HAS_NONE:
                return None
            raise
        if keys is None or not keys.token:
            return None
        signed = signed_headers(
            method="POST",
            host=sts_host(region),
            path="/",
            headers=headers_to_sign(challenge=challenge, audience=audience, key_id=key_id),
            body=BODY,
            keys=keys,
            region=region,
            service="sts",
            now=self._now(),
        )
        return StsProof(
            region=region,
            access_key=keys.access_key,
            session_token=keys.token,
            date=signed["x-amz-date"],
            signature=signed["authorization"].rpartition("Signature=")[2],
        )
