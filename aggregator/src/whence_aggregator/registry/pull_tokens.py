"""Pull tokens of instances for one repository, granted for a fresh proof by the enrolled key.

Steps in order: our challenge, proof of the key, its binding, account and life, use of the challenge; then the fresh
proof by STS, if nothing else shows that the instance still runs. A copy of the disk of an instance that ended contains
its key, but receives no token.
"""

from __future__ import annotations

import logging

import msgspec

from whence_aggregator.agents.challenges import Challenges
from whence_aggregator.callers.limits import Limit
from whence_aggregator.ports import CallerIdentity, Conflict, Forbidden, Unauthenticated
from whence_aggregator.registry.access import GRANT_SECONDS, RENEWAL_SECONDS, Access
from whence_aggregator.registry.instances import Instances
from whence_aggregator.registry.names import Repository, is_repository
from whence_aggregator.registry.standing import Standing
from whence_common import strict_base64
from whence_common.clock import Now
from whence_common.errors import InputError
from whence_common.identifiers import INSTANCE_ID
from whence_common.keys import key_id, public_key_from_wire, signature_holds
from whence_common.pull_proof import pull_proof_content
from whence_common.runtime.logs import fields
from whence_common.sts_proof import StsProof, check_caller, headers_to_sign

log = logging.getLogger(__name__)


class PullTokenRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request of an agent. `sts` only if it was required."""

    instance_id: str
    """The id of the agent's own instance: a key that was copied with a disk is bound to another one."""
    public_key: str
    challenge: str
    proof: str
    repository: str
    sts: StsProof | None = None


class PullTokenIssuer:
    """Grants tokens. `audience` names this registry in proofs; it comes from the settings, never from a request."""

    def __init__(
        self,
        *,
        challenges: Challenges,
        instances: Instances,
        access: Access,
        caller_identity: CallerIdentity | None,
        audience: str,
        unlisted_seconds_max: float,
        limit: Limit,
        now: Now,
    ) -> None:
        self._challenges = challenges
        self._instances = instances
        self._access = access
        self._caller_identity = caller_identity
        self._audience = audience
        self._unlisted_seconds_max = unlisted_seconds_max
        self._limit = limit
        self._now = now

    async def token(self, request: PullTokenRequest) -> dict[str, object]:
        """Return a token. Raises an InputError with a stable code for each reason to refuse, or a RoadError."""
        self._challenges.check(request.challenge)
        if not is_repository(request.repository):
            raise InputError("repository-malformed", "the repository must be written as team/artifact")
        if not INSTANCE_ID.match(request.instance_id):
            raise InputError("instance-malformed", "instance_id is not an instance's id")
        key = self._proved_key(request)
        standing = await self._instances.of_key(key)
        if standing is None:
            raise Unauthenticated("key-unknown", "no instance has bound this key", fix="enrol, then try again")
        if standing.instance_id != request.instance_id:
            raise Conflict(
                "key-of-other", "this key is bound to another instance: it was copied", fix="enrol a new key"
            )
        self._limit.take(standing.instance_id)
        standing.check(self._instances.accounts)
        repository = Repository.parse(request.repository)
        await self._access.check_account_pulls(standing.account_id, repository)
        lives = standing.is_known_to_live(self._now(), unlisted_seconds_max=self._unlisted_seconds_max)
        if not lives and request.sts is None:
            raise _life_unknown(standing)
        await self._challenges.redeem(request.challenge)
        if not lives:
            await self._prove_life(request, standing, key)
        log.info(
            "pull token given", extra=fields(instance=standing.instance_id, repository=request.repository, lives=lives)
        )
        return {
            "token": self._access.instance_token(standing, repository),
            "expires_in": GRANT_SECONDS,
            "refresh_token": self._access.instance_renewal(standing, repository),
            "refresh_expires_in": RENEWAL_SECONDS,
        }

    def _proved_key(self, request: PullTokenRequest) -> str:
        """Return the id of the key that made the proof. Raises Unauthenticated."""
        public_key = public_key_from_wire(request.public_key)
        content = pull_proof_content(
            audience=self._audience,
            nonce=request.challenge,
            instance_id=request.instance_id,
            repository=request.repository,
            public_key=request.public_key,
        )
        try:
            proof = strict_base64.decode(request.proof)
        except ValueError as exc:
            raise Unauthenticated("proof-invalid", "the proof is not base64") from exc
        if not signature_holds(public_key, proof, content):
            raise Unauthenticated(
                "proof-invalid",
                "the proof is not valid for this key, challenge, instance, repository and registry",
                fix="name images by the host in registry_front.name",
            )
        return key_id(public_key)

    async def _prove_life(self, request: PullTokenRequest, standing: Standing, key: str) -> None:
        """Verify by STS that the agent has the instance's credentials. Raises InputError or SourceUnavailable."""
        if request.sts is None or self._caller_identity is None:
            raise _life_unknown(standing)
        request.sts.check(now=self._now())
        if request.sts.region != standing.region:
            raise Unauthenticated("sts-region", "the STS proof is for another region than the instance's")
        signed = headers_to_sign(challenge=request.challenge, audience=self._audience, key_id=key)
        account, arn, _ = await self._caller_identity.caller(request.sts, signed)
        check_caller(account, arn, account_id=standing.account_id, instance_id=standing.instance_id)


def _life_unknown(standing: Standing) -> Forbidden:
    return Forbidden(
        "life-unknown",
        f"nothing recent shows that instance {standing.instance_id} still runs",
        fix="configure inventory or sts, or raise registry_front.unlisted_seconds_max",
    )
