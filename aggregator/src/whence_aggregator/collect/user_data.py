"""User data in the EC2 API, read for each instance separately.

An instance with unreadable user data does not prevent the listing of others: the reason is stored in its place, and it
is read again in a later round.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whence_aggregator.ports import Ec2Inventory, SourceUnavailable
from whence_common.digest import sha256_digest
from whence_common.errors import one_line
from whence_common.runtime.logs import fields
from whence_common.user_data.judge import judge
from whence_common.user_data.masking import masked
from whence_common.user_data.plain_secrets import plain_secrets
from whence_common.user_data.platform import PlatformRules

log = logging.getLogger(__name__)

ASKED_MAX = 500
"""The maximum number in one round of an account and region; the rest is read in the next rounds."""
ROUND_SECONDS_MAX = 120.0
"""No new request after this: well below the lease of the worker's task."""
_FAILURES_MAX = 3
"""This many consecutive failures, other than denials, end the round."""
_REASON_CHARACTERS_MAX = 300
DENIED = "ec2-denied"
THROTTLED = "ec2-throttled"
SECRETS, DOUBTFUL = "user_data_secrets", "user_data_doubtful"
"""Details of an instance: the paths of secrets in plain text, and of values that may be secrets."""
_PATH_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDataRead:
    """The user data of one instance in the EC2 API. `unread` is why it was not read; empty when it was."""

    digest: str = ""
    document: dict[str, Any] | None = None
    unread: str = ""
    denied: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Paths of values, one a line: `user_data_secrets`, `user_data_doubtful`. Absent where none were looked for."""

    def to_wire(self) -> dict[str, Any]:
        return {"user_data_digest": self.digest, "user_data": self.document, "user_data_unread": self.unread}


class UserDataRounds:
    """Reads the user data of instances, in rounds that are bounded in number and time."""

    def __init__(self, ec2: Ec2Inventory) -> None:
        self._ec2 = ec2
        self._last: dict[tuple[str, str], str] = {}
        """The last instance that was read again, by account and region: the next round continues after it."""

    async def read(
        self, account_id: str, region: str, *, fresh: Sequence[str], again: Sequence[str]
    ) -> dict[str, UserDataRead]:
        """Return the results by instance; instances that this round did not reach are left out.

        `fresh` instances come first, then those of `again`, in turns over the rounds.
        """
        last = self._last.get((account_id, region), "")
        in_turn = sorted(again, key=lambda name: (name <= last, name))
        found: dict[str, UserDataRead] = {}
        failures, until = 0, time.monotonic() + ROUND_SECONDS_MAX
        async with self._ec2.asking(account_id, region):
            for name in [*fresh, *in_turn][:ASKED_MAX]:
                if failures >= _FAILURES_MAX or time.monotonic() > until:
                    break
                try:
                    raw = await self._ec2.user_data(account_id, region, name)
                    found[name] = await asyncio.to_thread(
                        _masked, name, raw
                    )  # hostile user data may take up to a second
                    failures = 0
                except SourceUnavailable as exc:
                    reason = one_line(exc.message, _REASON_CHARACTERS_MAX)
                    found[name] = UserDataRead(unread=reason, denied=exc.code == DENIED)
                    failures = 0 if exc.code == DENIED else failures + 1
                    if exc.code == THROTTLED:
                        break
        asked_again = [name for name in in_turn if name in found]
        if asked_again:
            self._last[account_id, region] = asked_again[-1]
        return found


def _masked(name: str, raw: bytes | None) -> UserDataRead:
    """Return the digest of user data, and its masked document if it can be parsed."""
    if raw is None:
        return UserDataRead(secrets=_secrets({}))
    try:
        document = judge(raw, PlatformRules()).document
        shown = masked(document, whole_environment=True) if document is not None else None
        secrets = _secrets(document) if document is not None else {}
    except Exception:
        log.exception("a bug prevented reading the user data of one instance", extra=fields(instance=name))
        shown, secrets = None, {}
    return UserDataRead(digest=sha256_digest(raw), document=shown, secrets=secrets)


def _secrets(document: Mapping[str, Any]) -> dict[str, str]:
    """Return where a document has secrets in plain text, and where it may have some."""
    found = plain_secrets(document)
    named = {SECRETS: found.certain, DOUBTFUL: found.doubtful}
    return {name: "\n".join(one_line(path, _PATH_CHARACTERS_MAX) for path in some) for name, some in named.items()}
