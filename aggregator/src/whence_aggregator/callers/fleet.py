"""Credentials that a fleet shares: a file with one line for each user, which contains the hash of its password.

`sha256:HEX USER`. Whoever has the password may send in the name of every instance, so what it brings is only asserted.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from whence_aggregator.ports import Unauthenticated
from whence_common import strict_base64
from whence_common.errors import InputError

_LINE = re.compile(r"sha256:([0-9a-f]{64})\s+([A-Za-z0-9._@-]{1,100})\Z")
_HEADER_CHARACTERS_MAX = 1_000


class FleetCredentials:
    """Users and the hashes of their passwords."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = dict(hashes)

    @classmethod
    def parse(cls, text: str, *, name: str) -> FleetCredentials:
        """Read a file. Raises InputError with the numbers of malformed lines, or if there is none."""
        hashes: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.strip().startswith("#"):
                continue
            match = _LINE.match(line.strip())
            if match is None or match[2] in hashes:
                raise InputError(
                    "credentials-line", f"{name}:{number}: not of the form sha256:HEX USER, or the user's second line",
                    fix="write the output of: printf %s PASSWORD | sha256sum",
                )  # fmt: skip
            hashes[match[2]] = match[1]
        if not hashes:
            raise InputError("credentials-empty", f"{name} has no credentials", fix="add a line sha256:HEX USER")
        return cls(hashes)

    def user(self, header: str) -> str:
        """Return the user of a header Authorization. Raises Unauthenticated, without what was presented."""
        scheme, _, rest = header.partition(" ")
        user = password = ""
        if scheme.lower() == "basic" and len(rest) <= _HEADER_CHARACTERS_MAX:
            try:
                user, _, password = strict_base64.decode(rest.strip()).decode("utf-8").partition(":")
            except ValueError:
                user = ""
        wanted = self._hashes.get(user, "0" * 64)
        given = hashlib.sha256(password.encode()).hexdigest()
        if not hmac.compare_digest(wanted, given) or user not in self._hashes:
            raise Unauthenticated(
                "fleet-credentials", "the fleet's credentials are missing or wrong",
                fix="send the user and the password of instance_logs.credentials_file by Basic authentication",
            )  # fmt: skip
        return user
