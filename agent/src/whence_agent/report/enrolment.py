"""Enrolment: binds this machine's key to its instance, with a proof, and stores the binding next to the key."""

from __future__ import annotations

import asyncio
import base64
import logging
import re

from whence_agent.ports import MetadataUnavailable
from whence_agent.ports_aggregator import AggregatorUnavailable, Challenge, Enrolled, EnrolmentRoad, IdentityProof
from whence_agent.progress.progress import Progress
from whence_agent.report.disk_road import disk_as_unavailable
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.key_owner import KeyOwner
from whence_agent.report.receipts import Receipts
from whence_agent.report.reporter import Reporter
from whence_common import strict_base64
from whence_common.enrolment_proof import proof_content
from whence_common.identity_document import InstanceIdentity
from whence_common.keys import key_id, public_key_to_wire, sign
from whence_common.runtime.logs import fields
from whence_common.sts_proof import StsProof

log = logging.getLogger(__name__)

_AUDIENCE = re.compile(r"[\x21-\x7e]{1,300}\Z")
_OTHER = "statement-of-other"
"""The aggregator's code for a key that is bound to another instance than the one that the statement names."""


class AgentEnrolment:
    """The binding of this process; `enrolled` is None before it, and after it was lost."""

    def __init__(
        self,
        *,
        prover: IdentityProof,
        receipts: Receipts,
        key: InstanceKey,
        owner: KeyOwner,
        reporter: Reporter,
        progress: Progress,
    ) -> None:
        self._prover = prover
        self._receipts = receipts
        self._key = key
        self._owner = owner
        self._reporter = reporter
        self._progress = progress
        self._started_over = False
        self._enrolling = asyncio.Lock()
        self.enrolled = self._stored()

    async def bind(self, road: EnrolmentRoad, *, again: bool = False) -> None:
        """Bind this instance to its key, unless bound already; `again` forces it. Raises AggregatorUnavailable."""
        async with self._enrolling:
            if again or self.enrolled is None:
                self.enrolled = await self._bind_own(road)
        self._progress.delivered.set_enrolled(enrolled=True)

    def identify(self, identity: InstanceIdentity) -> None:
        """Replace the key if it belongs to another machine. A disk error does not end the boot."""
        try:
            self._owner.check(identity)
        except OSError as exc:
            self._progress.delivered.record_disk_error(f"the key of another machine could not be replaced: {exc}")
            log.error("key not replaced", extra=fields(error=str(exc)))
        self.enrolled = self._stored()

    def lose(self) -> None:
        """Discard the binding, because the aggregator does not have it any more; the machine enrols again."""
        self.enrolled = None
        self._progress.delivered.set_enrolled(enrolled=False)

    def starts_over(self, code: str) -> bool:
        """Discard the binding if the key may belong to another machine, at most once a process; return whether.

        Enrolling again then shows whose key it is.
        """
        if code != _OTHER or self._started_over:
            return False
        self._started_over = True
        self.lose()
        return True

    async def _bind_own(self, road: EnrolmentRoad) -> Enrolled:
        """Bind the key. If it belongs to another machine, create a new one, state everything again, and bind that."""
        with disk_as_unavailable():
            try:
                bound = await self._bind(road)
            except AggregatorUnavailable as exc:
                if not self._owner.refused(exc.code):
                    raise
                self._reporter.restate()
                bound = await self._bind(road)
            self._owner.confirm()
            return bound

    async def _bind(self, road: EnrolmentRoad) -> Enrolled:
        challenge = await road.challenge()
        if not _AUDIENCE.match(challenge.audience) or not _AUDIENCE.match(challenge.nonce):
            raise AggregatorUnavailable("challenge-malformed", "the aggregator's challenge is malformed")
        observed = self._progress.boot.observed
        public_key = public_key_to_wire(self._key.private.public_key())
        content = proof_content(
            audience=challenge.audience, nonce=challenge.nonce, identity=observed.identity_blob, public_key=public_key
        )
        proof = base64.b64encode(sign(self._key.private, content)).decode()
        sts = None
        if observed.identity is not None:
            sts = await self._proof(observed.identity.region, challenge)
        enrolled = await road.enrol(
            identity=observed.identity_blob, public_key=public_key, nonce=challenge.nonce, proof=proof, sts=sts
        )
        self._receipts.learn(enrolled.log_keys)
        key = base64.b64encode(enrolled.heartbeat_key).decode()
        self._key.remember("enrolment", {"number": enrolled.number, "heartbeat_key": key})
        log.info("enrolled", extra=fields(enrolment=enrolled.number, proof=enrolled.level))
        return enrolled

    async def _proof(self, region: str, challenge: Challenge) -> StsProof | None:
        """Return a proof of the instance's identity. Raises AggregatorUnavailable if it is not available yet."""
        key = key_id(self._key.private.public_key())
        try:
            return await self._prover.prove(
                region=region, challenge=challenge.nonce, audience=challenge.audience, key_id=key
            )
        except MetadataUnavailable as exc:
            message = f"no proof of identity is available for the enrolment: {exc.message}"
            raise AggregatorUnavailable(exc.code, message, fix=exc.fix) from exc

    def _stored(self) -> Enrolled | None:
        found = self._key.remembered("enrolment")
        try:
            return Enrolled(number=int(found["number"]), heartbeat_key=strict_base64.decode(found["heartbeat_key"]))
        except (KeyError, ValueError, TypeError):
            return None
