"""Writes what was observed into the outbox as a signed statement."""

from __future__ import annotations

import logging

import msgspec

from whence_agent import __version__
from whence_agent.progress.progress import Progress
from whence_agent.redaction import Redactor
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.key_owner import REPLACED
from whence_agent.report.outbox import Outbox
from whence_common.clock import to_instant
from whence_common.digest import sha256_digest
from whence_common.envelope import seal
from whence_common.heartbeat import HEARTBEATS
from whence_common.identity_document import InstanceIdentity
from whence_common.problems import Problem
from whence_common.runtime.logs import fields
from whence_common.statement import Cause, InstanceFacts, Predicate, Statement
from whence_common.storable import cleaned

log = logging.getLogger(__name__)


class Reporter:
    """States what is observed now. The digest of the last statement is the state that heartbeats confirm."""

    def __init__(self, *, key: InstanceKey, outbox: Outbox, progress: Progress, redactor: Redactor) -> None:
        self._redactor = redactor
        self._key = key
        self._outbox = outbox
        self._progress = progress
        self._last_cause: Cause | None = None
        self.unstored_cause: Cause | None = None
        """The cause of a statement that could not be written to disk yet."""
        self.last_digest: str | None = None
        self.last_sequence = 0

    def report(self, cause: Cause) -> None:
        """State everything observed, in a statement that is stored until it is acknowledged.

        Without an identity nothing is stated, because a statement needs its subject.
        """
        identity = self._progress.observed.identity
        if identity is None:
            log.error("nothing is reported: the identity is unknown", extra=fields(cause=cause))
            return
        try:
            predicate = self._predicate(identity, cause)
            envelope = seal(self._key.private, Statement.of(predicate).to_wire())
            self._outbox.put(predicate.sequence, envelope)
            self._remember_drift()
        except OSError as exc:
            self._progress.delivered.record_disk_error(f"a statement could not be stored: {exc}")
            log.error("statement not stored", extra=fields(cause=cause, error=str(exc)))
            self.unstored_cause = cause
            return
        self.unstored_cause = None
        self._progress.delivered.clear_disk_error()
        self._progress.delivered.set_counts(waiting=len(self._outbox), dropped=self._outbox.dropped)
        self._last_cause = cause
        self.last_digest, self.last_sequence = sha256_digest(envelope), predicate.sequence
        log.info("statement kept", extra=fields(cause=cause, sequence=predicate.sequence, digest=self.last_digest))

    def report_change(self) -> None:
        """State a change of something that the boot states too; nothing before that, or once the machine has failed."""
        if self._last_cause in ("boot", "change"):
            self.report("change")

    def restate(self) -> None:
        """State everything again with the last cause; nothing if there is no statement yet."""
        if self._last_cause is not None:
            self.report(self._last_cause)

    def _notices(self) -> list[dict[str, object]]:
        """Return the problem that this boot replaced another machine's key, if it did."""
        found = self._key.remembered(REPLACED)
        if found.get("boot_id") != self._progress.boot_id:
            return []
        fix = "remove the agent's state directory from the image"
        message = str(found.get("message", ""))
        problem = Problem(severity="warning", code="key-replaced", line=0, column=0, path="", message=message, fix=fix)
        return [problem.to_wire()]

    def _remember_drift(self) -> None:
        """Store the drift, so that it survives a restart of the agent."""
        drift = self._progress.observed.drift
        if drift:
            self._key.remember("drift", {"boot_id": self._progress.boot_id, "drift": msgspec.to_builtins(list(drift))})

    def _predicate(self, identity: InstanceIdentity, cause: Cause) -> Predicate:
        """Return everything observed, with all known secrets masked."""
        observed = cleaned(msgspec.to_builtins(self._observed(identity, cause)))  # labels and user data may contain NUL
        stated = self._redactor.scrub_all(observed)
        return msgspec.convert(stated, Predicate)

    def _observed(self, identity: InstanceIdentity, cause: Cause) -> Predicate:
        observed, log_problems = self._progress.observed, self._progress.delivered.log_problems
        return Predicate(
            instance=InstanceFacts(
                account_id=identity.account_id,
                region=identity.region,
                instance_id=identity.instance_id,
                image_id=identity.image_id,
                instance_type=identity.instance_type,
                availability_zone=identity.availability_zone,
                architecture=identity.architecture,
                pending_time=to_instant(identity.pending_time),
            ),
            boot_id=self._progress.boot_id,
            sequence=self._key.next_sequence(),
            cause=cause,
            observed_at=to_instant(self._progress.now()),
            agent_version=__version__,
            heartbeats=HEARTBEATS,
            user_data=observed.user_data,
            application=observed.application,
            image=observed.image,
            containers=[one for one in (observed.container, *observed.sidecars.values()) if one is not None],
            scm_source=observed.scm_source,
            credentials=observed.credentials,
            drift=list(observed.drift),
            ami=observed.ami if observed.ami is not None else msgspec.UNSET,
            problems=[one.to_wire() for one in (*observed.problems, *log_problems)] + self._notices(),
            stages=self._progress.boot.stage_facts(),
            statements_dropped=self._outbox.dropped,
        )
