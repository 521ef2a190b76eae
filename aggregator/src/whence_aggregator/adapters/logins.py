"""Logins for registries and Git servers: from a file, or ECR's password by role; never in a message."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from aiobotocore.config import AioConfig

from whence_aggregator.adapters.aws_refusals import FAILURES, why
from whence_aggregator.adapters.aws_session import aws_session
from whence_aggregator.ports import SourceUnavailable
from whence_common.clock import Now
from whence_common.login_file import LOGIN_BYTES_MAX, LoginInvalid, parse_login
from whence_common.registry_sign_in import Login
from whence_common.settings_file import SettingsInvalid

REFUSED_SECONDS = 300.0
"""How long a refused login is not sent again unless its file changes: repeating it could lock the account."""
_REQUEST_SECONDS_MAX = 10.0
_KEPT = timedelta(hours=6)
"""A password of ECR is valid for twelve hours."""
_ROLE_SECONDS = 3600


class Logins(Protocol):
    """The source of the login for one host."""

    async def login(self, path: str) -> Login | None:
        """Return the login for a repository; None for an anonymous request. Raises SourceUnavailable."""

    def refused(self, login: Login | None) -> SourceUnavailable:
        """Record that the host did not accept a login; return the error to raise."""


class NoLogin:
    """No login is configured for this host."""

    def __init__(self, host: str) -> None:
        self._host = host

    async def login(self, path: str) -> Login | None:
        return None

    def refused(self, login: Login | None) -> SourceUnavailable:
        return SourceUnavailable(
            "sign-in-needed",
            f"{self._host} requires a sign-in, and the settings have none",
            fix=f"set login_file for {self._host}",
        )


class WatchedFile:
    """A small file that is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[tuple[int, int, int], bytes] | None = None

    def read(self) -> bytes:
        """Return its current content. Raises OSError."""
        with self.path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            mark = (found.st_mtime_ns, found.st_size, found.st_ino)
            if self._known is None or self._known[0] != mark:
                self._known = mark, stream.read(LOGIN_BYTES_MAX + 1)
        return self._known[1]


class FileLogins:
    """A login from a file. A refused login is not sent again for a time."""

    def __init__(self, *, path: Path, host: str, token_user: str, seconds: Callable[[], float]) -> None:
        self._file = WatchedFile(path)
        self._host = host
        self._token_user = token_user
        self._seconds = seconds
        self._refused: tuple[Login, float] | None = None

    def check(self) -> None:
        """Read the file at the start. Raises SettingsInvalid."""
        try:
            self._read()
        except OSError as exc:
            message = f"the login file {self._file.path} for {self._host} cannot be read: {exc.strerror}"
            raise SettingsInvalid("login-unreadable", message, fix="correct the path or the file's mode") from exc
        except LoginInvalid as exc:
            raise SettingsInvalid(exc.code, f"{self._host}: {exc.message}", fix=exc.fix) from exc

    async def login(self, path: str) -> Login | None:
        try:
            login = await asyncio.to_thread(self._read)
        except OSError as exc:
            message = f"the login file {self._file.path} for {self._host} cannot be read: {exc.strerror}"
            raise SourceUnavailable("login-unreadable", message) from exc
        except LoginInvalid as exc:
            raise SourceUnavailable(exc.code, f"{self._host}: {exc.message}", fix=exc.fix) from exc
        if self._refused is not None and self._refused[0] == login and self._seconds() < self._refused[1]:
            raise self._refusal()
        return login

    def refused(self, login: Login | None) -> SourceUnavailable:
        if login is not None:
            self._refused = login, self._seconds() + REFUSED_SECONDS
        return self._refusal()

    def _read(self) -> Login:
        return parse_login(self._file.read(), host=self._host, name=str(self._file.path), token_user=self._token_user)

    def _refusal(self) -> SourceUnavailable:
        return SourceUnavailable(
            "sign-in-refused",
            f"{self._host} does not accept the login in {self._file.path}",
            fix="write a valid login to the file, which is read again when it changes",
        )


class EcrLogins:
    """ECR's password in one region, by our own role or by one that is assumed in the registry's account."""

    def __init__(self, *, host: str, region: str, role_arn: str | None, endpoint_url: str | None, now: Now) -> None:
        self._host = host
        self._region = region
        self._role_arn = role_arn
        self._endpoint_url = endpoint_url
        self._now = now
        self._known: tuple[datetime, Login] | None = None
        self._config = AioConfig(
            connect_timeout=_REQUEST_SECONDS_MAX,
            read_timeout=_REQUEST_SECONDS_MAX,
            retries={"max_attempts": 2, "mode": "standard"},
        )

    async def login(self, path: str) -> Login | None:
        now = self._now()
        if self._known is None or self._known[0] < now:
            try:
                token = await self._token()
                username, _, password = base64.b64decode(token, validate=True).decode("ascii").partition(":")
            except (*FAILURES, LookupError, binascii.Error, ValueError) as exc:
                raise self._refusal(why(exc)) from exc
            self._known = now + _KEPT, Login(username=username, password=password)
        return self._known[1]

    def refused(self, login: Login | None) -> SourceUnavailable:
        self._known = None
        return self._refusal("ECR does not accept its own password")

    async def _token(self) -> str:
        async with AsyncExitStack() as stack:
            keys = await self._assumed(stack) if self._role_arn is not None else {}
            ecr = await self._client(stack, "ecr", keys)
            answer = await ecr.get_authorization_token()
        return str(answer["authorizationData"][0]["authorizationToken"])

    async def _assumed(self, stack: AsyncExitStack) -> dict[str, str]:
        sts = await self._client(stack, "sts", {})
        answer = await sts.assume_role(
            RoleArn=self._role_arn, RoleSessionName="whence-aggregator", DurationSeconds=_ROLE_SECONDS
        )
        given = answer["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    async def _client(self, stack: AsyncExitStack, service: str, keys: dict[str, str]) -> Any:
        return await stack.enter_async_context(
            aws_session().create_client(
                service, region_name=self._region, endpoint_url=self._endpoint_url, config=self._config, **keys
            )
        )

    def _refusal(self, why: str) -> SourceUnavailable:
        role = self._role_arn or "the aggregator's own role"
        return SourceUnavailable(
            "ecr-no-password",
            f"ECR in {self._region} returned no password for {self._host}: {why}",
            fix=f"allow {role} ecr:GetAuthorizationToken, and to pull from the registry",
        )
