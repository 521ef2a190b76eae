"""Enrolment: an instance proves by AWS's signature who it is, and binds a key of its own.

Steps in order: challenge of ours, CMS verified, account allowed, proof of the key, limits, challenge used up, then the
fresh proof by STS, or a document that is young enough; then, in one transaction, the binding. A second key needs the
fresh proof; without it the attempt is refused and stands in the log, for it may be anybody's. What is wrong up to the
proof of the key counts against nobody: checking it costs no more than its request, and anybody can send it.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.agents.challenges import Challenges
from whence_aggregator.agents.rows import bound_key, enrolments
from whence_aggregator.callers.limits import EnrolmentLimits
from whence_aggregator.ledger.ledger import Ledger, NewEntry
from whence_aggregator.ledger.packing import EntryDamaged
from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.ports import (
    CallerIdentity,
    Conflict,
    Database,
    Forbidden,
    SourceUnavailable,
    Unauthenticated,
)
from whence_aggregator.projections.events import project_enrolment
from whence_aggregator.queries.agents import ENROLMENT_BY_KEY, ENROLMENTS_BY_KEY, ENROLMENTS_OF
from whence_aggregator.queries.query import instance_ids, together
from whence_common import strict_base64
from whence_common.clock import Now, to_instant
from whence_common.enrolment_proof import proof_content
from whence_common.errors import RoadError
from whence_common.heartbeat import derive_key
from whence_common.identity_document import Authorities, InstanceIdentity, verify
from whence_common.keys import key_id, public_key_from_wire, signature_holds
from whence_common.ledger_entry import event, kind_of
from whence_common.runtime.logs import fields
from whence_common.sts_proof import StsProof, check_caller, headers_to_sign

log = logging.getLogger(__name__)

_AHEAD_SECONDS_MAX = 60
Level = Literal["document", "document+sts"]
"""What was proved: AWS's signature over the identity document; and that the instance's own credentials are held now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One binding of a key to an instance. `number` counts the instance's bindings from 1."""

    instance_id: str
    number: int
    key_id: str
    public_key: str
    account_id: str
    region: str
    level: str
    enrolled_at: str
    ledger_index: int
    identity: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, stated: Mapping[str, Any], ledger_index: int) -> Enrolment:
        """Read an enrolment's entry."""
        instance = stated["instance"]
        return cls(
            **{name: stated[name] for name in ("number", "key_id", "public_key", "level", "enrolled_at")},
            **{name: instance[name] for name in ("instance_id", "account_id", "region")},
            ledger_index=ledger_index,
            identity=instance,
        )


class EnrolmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent sends. The only thing believed of `identity` is what its verified signature covers."""

    identity: str
    public_key: str
    challenge: str
    proof: str
    sts: StsProof | None = None


class Enrolments:
    """Hands out challenges and binds keys."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        challenges: Challenges,
        authorities: Authorities,
        accounts: frozenset[str],
        audience: str,
        heartbeat_secret: bytes,
        caller_identity: CallerIdentity | None,
        sts_required: bool,
        document_seconds_max: float,
        limits: EnrolmentLimits,
        now: Now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._challenges = challenges
        self._authorities = authorities
        self._accounts = accounts
        self._heartbeat_secret = heartbeat_secret
        self._caller_identity = caller_identity
        self._sts_required = sts_required
        self._document_seconds_max = document_seconds_max
        self._limits = limits
        self._now = now
        self.audience = audience

    def challenge(self) -> dict[str, object]:
        """Make a single-use challenge."""
        challenge, expires_at = self._challenges.make()
        return {"challenge": challenge, "audience": self.audience, "expires_at": expires_at}

    async def enrol(self, request: EnrolmentRequest, *, address: str = "") -> dict[str, object]:
        """Bind a key; `address` is the sender's. Raises an InputError with a stable code for every reason to refuse."""
        self._challenges.check(request.challenge)
        identity = verify(request.identity, self._authorities)
        if identity.account_id not in self._accounts:
            raise Forbidden("account-not-allowed", f"account {identity.account_id} is not on the allow-list")
        public_key = public_key_from_wire(request.public_key)
        self._check_proof(request, public_key)
        enrolment = await self._within_limits(identity, request, key_id(public_key), address)
        key = derive_key(self._heartbeat_secret, instance_id=enrolment.instance_id, enrolment=enrolment.number)
        return {
            "enrolment": enrolment.number,
            "instance_id": enrolment.instance_id,
            "level": enrolment.level,
            "heartbeat_key": base64.b64encode(key).decode("ascii"),
            "log_keys": list(self._ledger.keys),
        }

    async def _within_limits(
        self, identity: InstanceIdentity, request: EnrolmentRequest, key: str, address: str
    ) -> Enrolment:
        """Bind the key, counting against the instance what is proved, and against the sender what is not."""
        instance_id = identity.instance_id
        (bound,) = await self.by_keys([key])
        if isinstance(bound, Enrolment) and bound.instance_id == instance_id:
            self._limits.instance.take(instance_id)
            return await self._proved_and_bound(identity, request, key)
        self._limits.attempt(address, instance_id)
        try:
            enrolment = await self._proved_and_bound(identity, request, key)
        except RoadError:
            self._limits.no_attempt(address, instance_id)
            raise
        self._limits.no_attempt(address, instance_id)
        return enrolment

    async def _proved_and_bound(self, identity: InstanceIdentity, request: EnrolmentRequest, key: str) -> Enrolment:
        await self._challenges.redeem(request.challenge)
        proved = await self._prove_freshness(request, identity, key)
        if proved is not None:
            self._limits.instance.take(identity.instance_id)
            self._limits.account.take(identity.account_id)
        return await self._bind(identity, request, key, proved)

    async def by_keys(self, keys: Sequence[str]) -> list[Enrolment | Exception | None]:
        """Find the bindings of keys by their ids, in order: a fleet that comes back asks for all of its own at once.

        What is wrong with one of them is told for that one.
        """
        wanted = ENROLMENTS_BY_KEY.bind({"key_ids": b"".join(map(bytes.fromhex, keys))})
        (rows,) = await self._database.fetch_all(together(wanted), brief=True)
        found: dict[str, Enrolment | Exception] = {}
        for one in map(bound_key, rows):
            try:
                found[one.key_id] = self._read(one.packed)
            except Exception as exc:  # noqa: BLE001 - told to who asks by this key
                found[one.key_id] = exc
        return [found.get(key) for key in keys]

    def _read(self, entry: PackedEntry) -> Enrolment:
        if entry.body is None:
            raise EntryDamaged("an enrolment is missing: none is ever pruned")
        return Enrolment.of(kind_of(self._ledger.reader.content(entry))[1], entry.ledger_index)

    def _check_proof(self, request: EnrolmentRequest, public_key: ec.EllipticCurvePublicKey) -> None:
        content = proof_content(
            audience=self.audience,
            nonce=request.challenge,
            identity=request.identity,
            public_key=request.public_key,
        )
        try:
            proof = strict_base64.decode(request.proof)
        except ValueError as exc:
            raise Unauthenticated("proof-invalid", "the proof is not base64") from exc
        if not signature_holds(public_key, proof, content):
            raise Unauthenticated("proof-invalid", "the proof does not hold for this key, challenge and audience")

    async def _prove_freshness(
        self, request: EnrolmentRequest, identity: InstanceIdentity, key: str
    ) -> dict[str, str] | None:
        """Ask STS who signed, and give what it said; None when no such proof was sent and none is needed."""
        if request.sts is None or self._caller_identity is None:
            if self._sts_required:
                raise Unauthenticated("sts-required", "this aggregator binds no key without the fresh proof by STS")
            return None
        request.sts.check(now=self._now())
        if request.sts.region != identity.region:
            raise Unauthenticated("sts-region", "the STS proof is for another region than the instance's")
        signed = headers_to_sign(challenge=request.challenge, audience=self.audience, key_id=key)
        try:
            account, arn, host = await self._caller_identity.caller(request.sts, signed)
        except SourceUnavailable as exc:
            if self._sts_required:
                raise
            # no weaker than a request without the proof, which is accepted here
            log.warning("STS cannot be asked", extra=fields(instance=identity.instance_id, reason=exc.message))
            return None
        check_caller(account, arn, account_id=identity.account_id, instance_id=identity.instance_id)
        return {"arn": arn, "host": host, "checked_at": to_instant(self._now())}

    async def _bind(
        self, identity: InstanceIdentity, request: EnrolmentRequest, key: str, proved: dict[str, str] | None
    ) -> Enrolment:
        """Bind the key, unless it is bound already. Raises Conflict when that needs a proof that was not given."""
        now = self._now()
        async with self._ledger.writing() as writing:
            wanted = instance_ids([identity.instance_id])
            bound = list(map(self._read, enrolments(await writing.transaction.fetch(ENROLMENTS_OF.bind(wanted)))))
            same = next((one for one in bound if one.key_id == key), None)
            if same is not None:
                return same
            other_key = await writing.transaction.fetch(ENROLMENT_BY_KEY.bind({"key_id": bytes.fromhex(key)}))
            refusal = self._refusal(identity, bound, bool(other_key), proved, now)
            if refusal is None:
                stated = _stated(identity, request, key, proved, len(bound) + 1, now, self.audience)
                new = NewEntry(kind="enrolment", content=event("enrolment", stated))
                ((index, _),) = await writing.append([new])
                await writing.flush()
                await project_enrolment(writing.transaction, index, stated)
            elif self._limits.refusals.took(identity.instance_id):
                facts = {
                    "instance": _to_wire(identity),
                    "key_id": key,
                    "reason": refusal.message,
                    "at": to_instant(now),
                }
                refused = NewEntry(kind="enrolment-refused", content=event("enrolment-refused", facts))
                await writing.append([refused])
        if refusal is not None:
            log.warning("key refused", extra=fields(instance=identity.instance_id, key=key, code=refusal.code))
            raise refusal
        enrolment = Enrolment.of(stated, index)
        log.info(
            "enrolled",
            extra=fields(instance=enrolment.instance_id, account=enrolment.account_id, proof=enrolment.level),
        )
        return enrolment

    def _refusal(
        self,
        identity: InstanceIdentity,
        bound: list[Enrolment],
        key_taken: bool,
        proved: dict[str, str] | None,
        now: datetime,
    ) -> Conflict | None:
        """Say why this key cannot be bound, if it cannot."""
        if key_taken:
            return Conflict(
                "key-of-other",
                "this key is bound to another instance: it was copied, perhaps in an AMI",
                fix="remove the agent's state directory from the AMI",
            )
        if proved is not None:
            return None
        if bound:
            return Conflict(
                "instance-bound",
                f"instance {identity.instance_id} is bound to another key",
                fix="give the fresh proof by STS, or replace the instance",
            )
        age = (now - identity.pending_time).total_seconds()
        if not -_AHEAD_SECONDS_MAX <= age <= self._document_seconds_max:
            return Conflict(
                "document-too-old",
                f"the identity document is of {to_instant(identity.pending_time)}, too old to prove who holds it",
                fix="give the fresh proof by STS, or start the instance again",
            )
        return None


def _stated(
    identity: InstanceIdentity,
    request: EnrolmentRequest,
    key: str,
    proved: dict[str, str] | None,
    number: int,
    now: datetime,
    audience: str,
) -> dict[str, Any]:
    """Say what was bound and why that is believed: an auditor can verify all of it but STS's answer again."""
    level: Level = "document" if proved is None else "document+sts"
    return {
        "instance": _to_wire(identity),
        "number": number,
        "key_id": key,
        "public_key": request.public_key,
        "level": level,
        "enrolled_at": to_instant(now),
        "evidence": {
            "identity": "".join(request.identity.split()),
            "challenge": request.challenge,
            "audience": audience,
            "proof": request.proof,
        },
        "sts": proved,
    }


def _to_wire(identity: InstanceIdentity) -> dict[str, Any]:
    return {
        "account_id": identity.account_id,
        "region": identity.region,
        "instance_id": identity.instance_id,
        "image_id": identity.image_id,
        "instance_type": identity.instance_type,
        "availability_zone": identity.availability_zone,
        "architecture": identity.architecture,
        "private_ip": identity.private_ip,
        "pending_time": to_instant(identity.pending_time),
        "document_digest": identity.digest,
    }
