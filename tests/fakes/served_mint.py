"""mint over HTTP, in this process: its storage API at the root and at /mint, and `/v1/credentials`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from fakes.mint_house import MintReplica
from fakes.served_house import served_at
from landscape.contract import checked
from whence_aggregator.callers.caller import AUDIT, WRITE_ALL, WRITE_ALL_SENSITIVE, WRITE_SENSITIVE, Caller, Realm
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.stups_people import TOKENINFO
from whence_aggregator.http.credentials import CredentialCalls
from whence_aggregator.http.mint import MintCalls
from whence_aggregator.mint.bucket_places import BucketPlaces, BucketRow

ACCOUNT = "123456789012"
BUCKET = f"acme-stups-mint-{ACCOUNT}-eu-west-1"
SECOND = f"acme-stups-mint-{ACCOUNT}-eu-central-1"
FOREIGN = "acme-stups-mint-999999999999-eu-west-1"
APP: Mapping[str, Any] = {
    "is_client_confidential": True,
    "redirect_url": "https://greeter.example.org/",
    "s3_buckets": [BUCKET],
    "scopes": [{"resource_type_id": "sales-order", "scope_id": "read"}],
}
"""What a client of mint sends."""


def of_stups(name: str, *rights: str, realm: Realm = "services", why: str = "") -> Caller:
    """Return a caller that STUPS's token service knows; its team service confirms the team hello."""
    return Caller(
        name=name, teams=frozenset(), rights=frozenset(rights), subject=(TOKENINFO, name), realm=realm,
        not_written=why, asks_with=name,
    )  # fmt: skip


_MISSING = "the scope application.write is missing"
KNOWN: Mapping[str, Caller] = {
    "root": Caller(name="root", teams=None),
    "ada": Caller(name="ada", teams=frozenset({"hello"})),
    "bob": Caller(name="bob", teams=frozenset({"other"})),
    "own": Caller(name="own", teams=frozenset({"hello"}), subject=("https://i", "1"), reads="teams"),
    "stranger": Caller(name="stranger", teams=frozenset({"other"}), subject=("https://i", "2"), reads="teams"),
    "mute": Caller(name="mute", teams=frozenset({"hello"}), reads="nothing"),
    "audit": Caller(name="audit", teams=frozenset(), rights=frozenset({AUDIT})),
    "writer": Caller(name="stups_mint-writer", teams=frozenset()),
    "employee": of_stups("employee", realm="people"),
    "everywhere": of_stups("everywhere", WRITE_ALL, realm="people"),
    "service": of_stups("service", WRITE_SENSITIVE, why=_MISSING),
    "plain": of_stups("plain", WRITE_ALL),
    "worker": of_stups("stups_worker", WRITE_ALL_SENSITIVE, why=_MISSING),
    "unlisted": of_stups("unlisted", WRITE_ALL_SENSITIVE, why=_MISSING),
    "nameless": of_stups("stups_worker"),
    "namesake": Caller(name="stups_worker", teams=frozenset(), subject=("https://i", "9"), realm="people"),
    "employed": of_stups("stups_worker", WRITE_ALL_SENSITIVE, realm="people"),
    "nowhere": of_stups("nowhere", WRITE_SENSITIVE, WRITE_ALL, why=_MISSING),
}
"""By token. `stups_worker` and `stups_mint-writer` are named in mint.write_all."""


class StupsTeams:
    """STUPS's team service: who is in the team hello, by token."""

    async def may_write(self, token: str, team: str) -> bool:
        return team == "hello" and token in ("employee", "service")


@dataclass(frozen=True, slots=True, kw_only=True)
class MintAnswer:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedMint:
    """Asks mint, and checks each answer against openapi.yaml."""

    mint: MintReplica
    session: aiohttp.ClientSession
    url: str

    async def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = "ada", content: bytes | None = None,
        **headers: str,
    ) -> MintAnswer:  # fmt: skip
        """Send a request; `content` is a body as it is, `path` is sent unchanged."""
        sent = content if content is not None else json.dumps(body).encode() if body is not None else None
        stated = {"Authorization": f"Bearer {token}"} if token is not None else {}
        if sent is not None:
            stated["Content-Type"] = "application/json"
        stated |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, data=sent, headers=stated) as answer:
            text = await answer.text()
            return MintAnswer(
                status=answer.status, body=json.loads(text) if text else None, headers=dict(answer.headers)
            )

    async def application_ids(self) -> list[str]:
        """Return the applications that are stored."""
        found = await self.mint.applications.page(after="", limit=100)
        return [one.application.application_id for one in found]


@asynccontextmanager
async def serving(mint: MintReplica, *, path: str = "/mint") -> AsyncIterator[ServedMint]:
    """Serve mint for the block's duration."""
    membership = Membership(StupsTeams())
    write_all = frozenset({"stups_worker", "stups_mint-writer"})
    rows = [BucketRow(pattern="{prefix}-stups-mint-{account_id}-{region}")]
    calls = MintCalls(
        applications=mint.applications, kio=mint.world.kio, membership=membership,
        providers={"stups": frozenset({"user", "client"}), "issuer": frozenset({"client"})}, default_provider="stups",
        username_prefix="stups_", write_all=write_all, places=BucketPlaces(rows, accounts=frozenset({ACCOUNT})),
        path=path,
    )  # fmt: skip
    credentials = CredentialCalls(
        applications=mint.applications, kio=mint.world.kio, membership=membership, holders=mint.world.holders,
        write_all=write_all, now=mint.world.clock,
    )  # fmt: skip
    async with served_at(mint.world.clock, [*calls.routes(), *credentials.routes()], KNOWN) as url:
        middlewares = (checked(url),) if path == "/mint" else ()
        async with aiohttp.ClientSession(middlewares=middlewares) as session:
            yield ServedMint(mint=mint, session=session, url=url)
