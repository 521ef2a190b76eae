"""Detects a key of another machine, which a state directory that was copied with an image contains.

Two things show it: the recorded instance id next to the key, and the aggregator's refusal `key-of-other`. Then this
machine creates a key of its own, once, and states so; statements signed with the old key are set aside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from whence_agent.progress.progress import Progress
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.outbox import Outbox
from whence_common.errors import one_line
from whence_common.identity_document import InstanceIdentity
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

KEY_OF_OTHER = "key-of-other"
"""The aggregator's code for a key that is bound to another instance."""
_MACHINE = "machine"
REPLACED = "replaced"


class KeyOwner:
    """Compares the key's owner with the machine. `forget` removes the credentials of the other machine."""

    def __init__(
        self, *, key: InstanceKey, outbox: Outbox, progress: Progress, forget: Callable[[], None] = lambda: None
    ) -> None:
        self._key = key
        self._outbox = outbox
        self._progress = progress
        self._forget = forget
        self._replaced = False

    def check(self, identity: InstanceIdentity) -> None:
        """Replace the key if its record names another instance. Raises OSError."""
        recorded = self._key.remembered(_MACHINE).get("instance_id")
        if recorded is not None and recorded != identity.instance_id:
            self._forget()
            self._replace(identity, f"it was made by {one_line(str(recorded), 40)}")

    def refused(self, code: str) -> bool:
        """Replace the key if the aggregator's code states that it belongs to another instance; return whether.

        Once a process: an aggregator that always answers so must not cause endless new keys.
        """
        identity = self._progress.observed.identity
        if code != KEY_OF_OTHER or identity is None or self._replaced:
            return False
        self._replace(identity, "the aggregator has it bound to another instance")
        return True

    def confirm(self) -> None:
        """Record that the key belongs to this instance, because the aggregator has bound it. Raises OSError."""
        identity = self._progress.observed.identity
        if identity is not None and self._key.remembered(_MACHINE).get("instance_id") != identity.instance_id:
            self._key.remember(_MACHINE, {"instance_id": identity.instance_id})

    def _replace(self, identity: InstanceIdentity, reason: str) -> None:
        before = self._key.id
        aside = self._outbox.set_aside(before)
        message = f"the state directory held the key of another machine ({reason}): a new key was made"
        if aside:
            message += f", and {aside} statements signed with the old one were set aside"
        self._key.replace({"name": REPLACED, "boot_id": self._progress.boot_id, "message": message})
        self._key.remember(_MACHINE, {"instance_id": identity.instance_id})
        self._replaced = True
        self._progress.delivered.set_enrolled(enrolled=False)
        self._progress.delivered.set_counts(waiting=len(self._outbox), dropped=self._outbox.dropped)
        log.error("key of another machine", extra=fields(key=before, reason=reason, set_aside=aside))
