"""The login that Seven Seconds expects: a list of accounts, the roles of a user, and keys for a role.

The three answers are those that sevenseconds 1.2.112 reads in helper/auth.py. Signatures of tokens are not checked there
either.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

ROLE = "Shibboleth-Administrator"
CLAIM = "https://identity.example.org/managed-id"
USER = "operator"


def token() -> str:
    """Return a token of the user, signed by nobody."""
    header, claims = {"alg": "HS256", "typ": "JWT"}, {CLAIM: USER}
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), b"not a signature")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode("ascii") for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys of a role of one account."""

    access_key_id: str
    secret_access_key: str
    session_token: str


@dataclass
class StupsLogin:
    """`keys` are given for the accounts, by id."""

    ids: Mapping[str, str]
    keys: Mapping[str, Keys]
    url: str = ""

    @property
    def section(self) -> dict[str, object]:
        """The keys of the configuration, version 10, that name this login."""
        return {
            "aws_credentials_service_url": self.url,
            "aws_credentials_service_resources": {
                "roles": "/aws-account-roles/{user_id}", "credentials": "/aws-accounts/{account_id}/roles/{role_name}",
            },
            "account_list_url": f"{self.url}/accounts.json",
            "token_managed_id_key": CLAIM,
            "saml_admin_login_role": ROLE,
        }  # fmt: skip

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[StupsLogin]:
        """Serve on a loopback port for the block's duration."""
        application = web.Application()
        application.router.add_get("/accounts.json", self._accounts)
        application.router.add_get(f"/aws-account-roles/{USER}", self._roles)
        application.router.add_get("/aws-accounts/{account_id}/roles/{role_name}", self._credentials)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _accounts(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response([{"name": name, "id": one, "disabled": False} for name, one in self.ids.items()])

    async def _roles(self, request: web.Request) -> web.Response:
        self._check(request)
        names = (ROLE, ROLE.partition("-")[2])  # it looks up the role with its prefix, then without
        roles = [
            {"account_name": name, "account_id": one, "role_name": role}
            for name, one in self.ids.items()
            for role in names
        ]
        return web.json_response({"account_roles": roles})

    async def _credentials(self, request: web.Request) -> web.Response:
        self._check(request)
        found = self.keys.get(request.match_info["account_id"])
        if found is None:
            raise web.HTTPNotFound
        return web.json_response({
            "access_key_id": found.access_key_id, "secret_access_key": found.secret_access_key,
            "session_token": found.session_token,
        })  # fmt: skip

    @staticmethod
    def _check(request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {token()}":
            raise web.HTTPUnauthorized
