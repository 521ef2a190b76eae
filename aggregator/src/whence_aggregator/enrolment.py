"""Enrolment: an instance proves by AWS's signature who it is, and binds a key of its own.

Steps in order: challenge consumed, CMS verified, account allowed, proof of the key; then, in one transaction, the
binding. A second key for a bound instance is refused and recorded: without a fresh proof it may be anybody's.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.ledger.append import Entry, append
from whence_aggregator.ports import Conflict, Database, Forbidden, Overloaded, Row, Transaction, Unauthenticated
from whence_common.clock import Now, to_instant
from whence_common.enrolment_proof import proof_content
from whence_common.heartbeat import derive_key
from whence_common.identity_document import Authorities, InstanceIdentity, verify
from whence_common.keys import key_id, public_key_from_wire, signature_holds
from whence_common.logs import fields

log = logging.getLogger(__name__)

CHALLENGE_SECONDS = 120
CHALLENGES_MAX = 20_000
_NONCE_BYTES = 32


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
    """What was proved: `document` is AWS's signature alone."""
    enrolled_at: str
    ledger_index: int
    identity: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_row(cls, row: Row) -> Enrolment:
        return cls(**{**row, "identity": msgspec.json.decode(row["identity"])})


class EnrolmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent sends. The only thing believed of `identity` is what its verified signature covers."""

    identity: str
    public_key: str
    challenge: str
    proof: str


class Enrolments:
    """Hands out challenges and binds keys."""

    def __init__(
        self,
        *,
        database: Database,
        authorities: Authorities,
        accounts: frozenset[str],
        audience: str,
        heartbeat_secret: bytes,
        now: Now,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._authorities = authorities
        self._accounts = accounts
        self._heartbeat_secret = heartbeat_secret
        self._now = now
        self._random_bytes = random_bytes
        self.audience = audience

    async def challenge(self) -> dict[str, object]:
        """Make a single-use challenge. Raises Overloaded when too many are open."""
        nonce = base64.urlsafe_b64encode(self._random_bytes(_NONCE_BYTES)).decode("ascii")
        now = self._now()
        expires_at = to_instant(now + timedelta(seconds=CHALLENGE_SECONDS))
        async with self._database.transaction() as transaction:
            await transaction.execute("forget_challenges", [{"now": to_instant(now)}])
            open_now = (await transaction.fetch("count_challenges", {}))[0]["n"]
            if open_now >= CHALLENGES_MAX:
                raise Overloaded("challenges-exhausted", "too many challenges are open", retry_after_seconds=30.0)
            await transaction.execute("add_challenge", [{"nonce": nonce, "expires_at": expires_at}])
        return {"challenge": nonce, "audience": self.audience, "expires_at": expires_at}

    async def enrol(self, request: EnrolmentRequest) -> dict[str, object]:
        """Bind a key. Raises an InputError with a stable code for every reason to refuse."""
        await self._take_challenge(request.challenge)
        identity = verify(request.identity, self._authorities)
        if identity.account_id not in self._accounts:
            raise Forbidden("account-not-allowed", f"account {identity.account_id} is not on the allow-list")
        public_key = public_key_from_wire(request.public_key)
        self._check_proof(request, public_key)
        enrolment, made = await self._bind(identity, public_key, request.public_key)
        if enrolment is None:
            log.warning("second key refused", extra=fields(instance=identity.instance_id, key=key_id(public_key)))
            raise Conflict(
                "instance-bound",
                f"instance {identity.instance_id} is bound to another key",
                fix="replace the instance: a binding without a fresh proof of identity is not changed",
            )
        if made:
            log.info("enrolled", extra=fields(instance=enrolment.instance_id, account=enrolment.account_id))
        key = derive_key(self._heartbeat_secret, instance_id=enrolment.instance_id, enrolment=enrolment.number)
        return {
            "enrolment": enrolment.number,
            "instance_id": enrolment.instance_id,
            "level": enrolment.level,
            "heartbeat_key": base64.b64encode(key).decode("ascii"),
        }

    async def by_key(self, key: str) -> Enrolment | None:
        """Find the binding of a key."""
        rows = await self._database.fetch("enrolment_by_key", {"key_id": key})
        return Enrolment.from_row(rows[0]) if rows else None

    async def _take_challenge(self, nonce: str) -> None:
        async with self._database.transaction() as transaction:
            taken = await transaction.fetch("take_challenge", {"nonce": nonce, "now": to_instant(self._now())})
        if len(taken) != 1:
            raise Unauthenticated(
                "challenge-unknown", "the challenge is unknown, used or too old", fix="ask for another"
            )

    def _check_proof(self, request: EnrolmentRequest, public_key: ec.EllipticCurvePublicKey) -> None:
        content = proof_content(
            audience=self.audience,
            nonce=request.challenge,
            identity=request.identity,
            public_key=request.public_key,
        )
        try:
            proof = base64.b64decode(request.proof, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise Unauthenticated("proof-invalid", "the proof is not base64") from exc
        if not signature_holds(public_key, proof, content):
            raise Unauthenticated("proof-invalid", "the proof does not hold for this key, challenge and audience")

    async def _bind(
        self, identity: InstanceIdentity, public_key: ec.EllipticCurvePublicKey, wire: str
    ) -> tuple[Enrolment | None, bool]:
        """Give the binding and whether it is new; None when the instance is bound to another key."""
        key, now = key_id(public_key), to_instant(self._now())
        async with self._database.transaction() as transaction:
            known = await transaction.fetch("enrolments_of", {"instance_id": identity.instance_id})
            for row in known:
                if row["key_id"] == key:
                    return Enrolment.from_row(row), False
            if known:
                await _record_refusal(transaction, identity, key, now)
                return None, False
            facts = _to_wire(identity)
            event = {"instance": facts, "key_id": key, "public_key": wire, "level": "document", "number": 1}
            index = (await append(transaction, [Entry.event("enrolment", event)], recorded_at=now))[0]
            row = {
                "instance_id": identity.instance_id,
                "number": 1,
                "key_id": key,
                "public_key": wire,
                "account_id": identity.account_id,
                "region": identity.region,
                "level": "document",
                "enrolled_at": now,
                "ledger_index": index,
                "identity": msgspec.json.encode(facts).decode(),
            }
            await transaction.execute("add_enrolment", [row])
        return Enrolment.from_row(row), True


async def _record_refusal(transaction: Transaction, identity: InstanceIdentity, key: str, now: str) -> None:
    event = {"instance": _to_wire(identity), "key_id": key, "reason": "the instance is bound to another key"}
    await append(transaction, [Entry.event("enrolment-refused", event)], recorded_at=now)


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
