"""Instances proved by AWS's signature alone, as in Pier One: disabled by default.

Such a document proves that AWS launched an instance once. It proves neither who has the document nor that the instance
still runs. Hence the limit on its age.
"""

from __future__ import annotations

from collections.abc import Container

from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError
from whence_common.identity_document import Authorities, verify

_AHEAD_SECONDS_MAX = 60.0


class IdentityDocuments:
    """Verifies documents of allowed accounts that are at most `seconds_max` old, by their `pendingTime`."""

    def __init__(self, *, authorities: Authorities, accounts: Container[str], seconds_max: float, now: Now) -> None:
        self._authorities = authorities
        self._accounts = accounts
        self._seconds_max = seconds_max
        self._now = now

    def instance(self, blob: str) -> tuple[str, str]:
        """Return the ids of the instance and the account that the document names. Raises RegistryRefusal."""
        try:
            identity = verify(_without_frame(blob), self._authorities)
        except InputError as exc:
            raise RegistryRefusal(
                "UNAUTHORIZED", f"the instance identity is not valid: {exc.message}", fix="send rsa2048, not pkcs7"
            ) from exc
        if identity.account_id not in self._accounts:
            raise RegistryRefusal("UNAUTHORIZED", "the instance's account is not an allowed account")
        age = (self._now() - identity.pending_time).total_seconds()
        if not -_AHEAD_SECONDS_MAX <= age <= self._seconds_max:
            raise RegistryRefusal(
                "UNAUTHORIZED",
                f"the identity document of {to_instant(identity.pending_time)} is too old, or in the future",
                fix="set sign_in: whence on the agent, or start the instance again",
            )
        return identity.instance_id, identity.account_id


def _without_frame(blob: str) -> str:
    """Return the signature without the PEM header and footer that some clients add."""
    return "".join(line for line in blob.splitlines() if not line.startswith("-----"))
