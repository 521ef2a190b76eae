"""An OpenID provider that others wrote, which exchanges tokens of AWS for its own (RFC 8693), as a process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fakes.aws_web_identity import WebIdentityOfRole
from fakes.openid_provider import CLIENTS, node
from landscape.processes import started
from landscape.whole import ROOT


@asynccontextmanager
async def token_exchange(role: WebIdentityOfRole, logs: Path) -> AsyncIterator[str]:
    """Run one for the block's duration; give its address.

    It trusts the issuer of a role, whose application is its public client `greeter`; the client `minted` has a secret.
    """

    def stated() -> str | None:
        log = logs / "token-exchange.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return next((json.loads(line)["issuer"] for line in lines if line.startswith('{"issuer"')), None)

    async def ready() -> bool:
        return stated() is not None

    command = [node(), ROOT / "tests/clients/token_exchange.js", CLIENTS, role.url, role.role_arn]
    async with started("token-exchange", command, logs=logs, ready=ready):
        yield stated() or ""
