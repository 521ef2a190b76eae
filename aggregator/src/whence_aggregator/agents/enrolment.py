"""Enrolment: an instance proves its identity by AWS's signature, and binds a key of its own.

Steps in order: check the challenge, verify the CMS signature, check the account, check the proof of the key, apply
limits, redeem the challenge, check the fresh STS proof or the document's age; then bind the key in one transaction. A
second key needs the STS proof; an attempt without it is refused and recorded in the log, as it may be anyone's.
Failures up to the proof of the key count against no limit: anyone can send them, and each costs only its request.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.agents.challenges import Challenges
from whence_aggregator.agents.rows import bound_key, enrolments
from whence_aggregator.callers.limits import EnrolmentLimits
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.packing import EntryDamaged
from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.ledger.writing import NewEntry
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
"""The level of proof: AWS's signature over the identity document; and possession of the instance's credentials now."""


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
        """Return the enrolment in an entry."""
        instance = stated["instance"]
        return cls(
            **{name: stated[name] for name in ("number", "key_id", "public_key", "level", "enrolled_at")},
            **{name: instance[name] for name in ("instance_id", "account_id", "region")},
            ledger_index=ledger_index,
            identity=instance,
        )


class EnrolmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent's request. Of `identity`, only what its verified signature covers is trusted."""

    identity: str
    public_key: str
    challenge: str
    proof: str
    sts: StsProof | None = None


class Enrolments:
    """Issues challenges and binds keys."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        challenges: Challenges,
        authorities: Authorities,
        accounts: Container[str],
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
        """Return a new single-use challenge."""
        challenge, expires_at = self._challenges.make()
        return {"challenge": challenge, "audience": self.audience, "expires_at": expires_at}

    async def enrol(self, request: EnrolmentRequest, *, address: str = "") -> dict[str, object]:
        """Bind a key; `address` is the sender's. Raises an InputError, with a stable code for each refusal."""
        self._challenges.check(request.challenge)
        identity = verify(request.identity, self._authorities)
        if identity.account_id not in self._accounts:
            raise Forbidden(
                "account-not-allowed",
                f"account {identity.account_id} is not on the allow-list",
                fix="add the account to `accounts` in the aggregator's settings; with `accounts: organization`, it "
                "must be ACTIVE in AWS Organizations (`whence accounts`)",
            )
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
        """Bind the key. Proved attempts count against the instance's limit, unproved ones against the sender's."""
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
        """Return the bindings of keys by their ids, in order, in one query: a returning fleet looks up many at once.

        A failure to read one binding is returned in its place.
        """
        wanted = ENROLMENTS_BY_KEY.bind({"key_ids": b"".join(map(bytes.fromhex, keys))})
        (rows,) = await self._database.fetch_all(together(wanted), brief=True)
        found: dict[str, Enrolment | Exception] = {}
        for one in map(bound_key, rows):
            try:
                found[one.key_id] = self._read(one.packed)
            except Exception as exc:  # noqa: BLE001 - returned to the caller with this key
                found[one.key_id] = exc
        return [found.get(key) for key in keys]

    def _read(self, entry: PackedEntry) -> Enrolment:
        if entry.body is None:
            raise EntryDamaged("the body of an enrolment is missing, though enrolments are never pruned")
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
            raise Unauthenticated("proof-invalid", "the proof is not valid for this key, challenge and audience")

    async def _prove_freshness(
        self, request: EnrolmentRequest, identity: InstanceIdentity, key: str
    ) -> dict[str, str] | None:
        """Return the caller identity that STS reports; None when no STS proof was sent and none is required."""
        if request.sts is None or self._caller_identity is None:
            if self._sts_required:
                raise Unauthenticated(
                    "sts-required",
                    "this aggregator requires an STS proof to bind a key",
                    fix="give the instance a role, so that the agent can sign the proof",
                )
            return None
        request.sts.check(now=self._now())
        if request.sts.region != identity.region:
            raise Unauthenticated("sts-region", f"the STS proof is not for the instance's region, {identity.region}")
        signed = headers_to_sign(challenge=request.challenge, audience=self.audience, key_id=key)
        try:
            account, arn, host = await self._caller_identity.caller(request.sts, signed)
        except SourceUnavailable as exc:
            if self._sts_required:
                raise
            # no weaker than a request without the proof, which is accepted here
            log.warning("cannot reach STS", extra=fields(instance=identity.instance_id, reason=exc.message))
            return None
        check_caller(account, arn, account_id=identity.account_id, instance_id=identity.instance_id)
        return {"arn": arn, "host": host, "checked_at": to_instant(self._now())}

    async def _bind(
        self, identity: InstanceIdentity, request: EnrolmentRequest, key: str, proved: dict[str, str] | None
    ) -> Enrolment:
        """Bind the key, unless it is bound already. Raises Conflict when a required proof is missing."""
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
        """Return why this key cannot be bound; None when it can."""
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
                fix="give the instance a role, so that the agent sends an STS proof, or replace the instance",
            )
        age = (now - identity.pending_time).total_seconds()
        if not -_AHEAD_SECONDS_MAX <= age <= self._document_seconds_max:
            return Conflict(
                "document-too-old",
                f"the identity document of {to_instant(identity.pending_time)} is too old to prove who holds it",
                fix="give the instance a role, so that the agent sends an STS proof, or stop and start the instance",
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
    """Return the members of an enrolment's entry, with the evidence. Auditors can verify all but STS's answer."""
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
