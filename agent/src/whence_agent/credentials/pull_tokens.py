"""Tokens of Whence's registry front, each to pull from one repository, in exchange for a proof by this instance's key.

The proof contains the registry's name from user data, so a proof for another registry is invalid at ours. An instance
that the front does not know enrols at the front first: a boot needs the front, but not the aggregator.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from whence_agent.ports import MetadataUnavailable, RegistryRefused
from whence_agent.ports_aggregator import (
    AggregatorUnavailable,
    Challenge,
    Enrolled,
    EnrolmentRoad,
    IdentityProof,
    PullToken,
    RegistryFront,
)
from whence_agent.progress.progress import Progress
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.key_owner import KEY_OF_OTHER
from whence_common.errors import one_line
from whence_common.keys import key_id, public_key_to_wire, sign
from whence_common.pull_proof import pull_proof_content, registry_audience
from whence_common.sts_proof import StsProof

_UNBOUND = ("key-unknown", KEY_OF_OTHER)
_LIFE_UNKNOWN = "life-unknown"
"""The front's codes that this machine can resolve: by enrolling, and by the current proof of its identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFront:
    """A front with the expected audience. Raises AggregatorUnavailable if its challenges have another one."""

    front: RegistryFront
    audience: str

    async def challenge(self) -> Challenge:
        challenge = await self.front.challenge()
        if challenge.audience != self.audience:
            raise AggregatorUnavailable(
                "registry-audience",
                f"the challenge has the audience {one_line(challenge.audience, 80)!r}, not {self.audience!r}",
                retryable=False,
                fix="use the front's host name, its setting registry_front.name, in image references",
            )
        return challenge

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None) -> Enrolled:
        return await self.front.enrol(identity=identity, public_key=public_key, nonce=nonce, proof=proof, sts=sts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullTokenClient:
    """Requests tokens. `front_of` returns the front of a registry's host; `enrol` enrols the key at a service."""

    key: InstanceKey
    prover: IdentityProof
    progress: Progress
    front_of: Callable[[str], RegistryFront]
    enrol: Callable[[EnrolmentRoad], Awaitable[None]]

    async def token(self, registry: str, repository: str) -> PullToken:
        """Return a token. Raises RegistryRefused."""
        own = OwnFront(front=self.front_of(registry), audience=registry_audience(registry))
        enrolled = proving = False
        try:
            while True:
                try:
                    return await self._ask(own, repository, proving=proving)
                except AggregatorUnavailable as exc:
                    if exc.code in _UNBOUND and not enrolled:
                        enrolled = True
                        await self.enrol(own)
                    elif exc.code == _LIFE_UNKNOWN and not proving:
                        proving = True
                    else:
                        raise
        except (AggregatorUnavailable, MetadataUnavailable) as exc:
            raise RegistryRefused(
                exc.code, f"{registry} issues no pull token: {exc.message}", fix=exc.fix, retryable=exc.retryable,
                retry_after_seconds=exc.retry_after_seconds,
            ) from exc  # fmt: skip

    async def _ask(self, own: OwnFront, repository: str, *, proving: bool) -> PullToken:
        challenge = await own.challenge()
        public_key = public_key_to_wire(self.key.private.public_key())
        content = pull_proof_content(
            audience=own.audience, nonce=challenge.nonce, instance_id=self.progress.instance_id(),
            repository=repository, public_key=public_key,
        )  # fmt: skip
        sts = None
        if proving:
            sts = await self.prover.prove(
                region=self.progress.region(),
                challenge=challenge.nonce,
                audience=own.audience,
                key_id=key_id(self.key.private.public_key()),
            )
        return await own.front.pull_token(
            instance_id=self.progress.instance_id(),
            public_key=public_key,
            nonce=challenge.nonce,
            proof=base64.b64encode(sign(self.key.private, content)).decode(),
            repository=repository,
            sts=sts,
        )
