"""Logins of a GitHub App: a signed JWT is exchanged for an installation's token, which may only read.

Source: GitHub's REST API, "Generating a JWT", "Generating an installation access token", API version 2022-11-28.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.adapters.logins import WatchedFile
from whence_aggregator.ports import SourceUnavailable
from whence_common.clock import Now
from whence_common.loose_json import loose
from whence_common.registry_sign_in import Login
from whence_common.settings_file import SettingsInvalid

_SECONDS_MAX = 20.0
_ANSWER_BYTES_MAX = 256 * 1024
_SKEW, _JWT_LIFE = timedelta(seconds=60), timedelta(seconds=540)
"""GitHub refuses a JWT that is valid for more than ten minutes, and advises to set `iat` a minute back."""
_SPARE = timedelta(minutes=5)
_INSTALLATIONS_MAX = 1_000
CONTENTS = ("contents",)
REVIEWS_AND_ISSUES = ("metadata", "contents", "pull_requests", "issues", "checks", "statuses")
"""The permissions of a token, all for reading only; GitHub refuses a token with one that the App does not have."""
_USER = "x-access-token"


class GithubAppLogins:
    """Tokens for one GitHub host. Without `installation_id` it is looked up by the repository's owner."""

    def __init__(
        self, *, session: aiohttp.ClientSession, host: str, app_id: str, key_file: Path, api_url: str,
        installation_id: str | None, now: Now, permissions: Sequence[str] = CONTENTS,
    ) -> None:  # fmt: skip
        self._session = session
        self._host = host
        self._app_id = app_id
        self._key_file = WatchedFile(key_file)
        self._api_url = api_url.rstrip("/")
        self._installation_id = installation_id
        self._now = now
        self._permissions = dict.fromkeys(permissions, "read")
        self._installations: dict[str, str] = {}
        self._tokens: dict[str, tuple[datetime, Login]] = {}

    def check(self) -> None:
        """Read the key at the start. Raises SettingsInvalid."""
        try:
            self._key()
        except SourceUnavailable as exc:
            raise SettingsInvalid(exc.code, exc.message, fix=exc.fix) from exc

    async def login(self, path: str) -> Login | None:
        installation = self._installation_id or await self._installation(path)
        held = self._tokens.get(installation)
        if held is None or held[0] - _SPARE <= self._now():
            held = await self._token(installation)
            if len(self._tokens) >= _INSTALLATIONS_MAX:
                self._tokens.clear()
            self._tokens[installation] = held
        return held[1]

    def refused(self, login: Login | None) -> SourceUnavailable:
        self._tokens.clear()
        self._installations.clear()
        return SourceUnavailable(
            "sign-in-refused",
            f"{self._host} does not accept the token of the GitHub App {self._app_id}",
            fix=f"check that the App is installed for the repository and may read {', '.join(self._permissions)}",
        )

    async def _installation(self, path: str) -> str:
        owner, _, name = path.partition("/")
        known = self._installations.get(owner)
        if known is not None:
            return known
        answer = await self._ask("GET", f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/installation", 200)
        number = answer.get("id")
        if not isinstance(number, int):
            raise self._failed("its answer names no installation")
        if len(self._installations) >= _INSTALLATIONS_MAX:
            self._installations.clear()
        self._installations[owner] = str(number)
        return str(number)

    async def _token(self, installation: str) -> tuple[datetime, Login]:
        wanted = {"permissions": self._permissions}
        answer = await self._ask("POST", f"/app/installations/{installation}/access_tokens", 201, wanted)
        token, expires_at = answer.get("token"), answer.get("expires_at")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise self._failed("its answer contains no token")
        try:
            ends = datetime.fromisoformat(str(expires_at))
            ends = min(ends, self._now() + timedelta(hours=1))
        except (ValueError, TypeError) as exc:
            raise self._failed("its answer does not state when the token expires") from exc
        return ends, Login(username=_USER, password=token)

    async def _ask(self, method: str, path: str, status: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {await asyncio.to_thread(self._jwt)}",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "whence",
        }
        try:
            async with self._session.request(
                method, self._api_url + path, headers=headers, json=body, allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX),
            ) as answer:  # fmt: skip
                content = await read_answer(answer, _ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise self._failed(f"it does not answer ({type(exc).__name__})") from exc
        if answer.status != status or content is None:
            raise self._failed(f"HTTP {answer.status}")
        return loose(content)

    def _jwt(self) -> str:
        key, now = self._key(), self._now()
        claims = {
            "iat": int((now - _SKEW).timestamp()),
            "exp": int((now + _JWT_LIFE).timestamp()),
            "iss": self._app_id,
        }
        signed = b".".join(_segment(json.dumps(one).encode()) for one in ({"alg": "RS256", "typ": "JWT"}, claims))
        signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return (signed + b"." + _segment(signature)).decode("ascii")

    def _key(self) -> rsa.RSAPrivateKey:
        """Load the App's private key. Raises SourceUnavailable."""
        name = self._key_file.path
        try:
            key = serialization.load_pem_private_key(self._key_file.read(), None)
        except OSError as exc:
            message = f"the key file {name} of the GitHub App for {self._host} cannot be read: {exc.strerror}"
            raise SourceUnavailable("github-app-key", message, fix="correct the path or the file's mode") from exc
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            message = f"{name} does not contain a private key in PEM"
            fix = "use the key file that GitHub generated for the App"
            raise SourceUnavailable("github-app-key", message, fix=fix) from exc
        if not isinstance(key, rsa.RSAPrivateKey):
            raise SourceUnavailable("github-app-key", f"{name} does not contain an RSA key, which GitHub Apps need")
        return key

    def _failed(self, why: str) -> SourceUnavailable:
        return SourceUnavailable(
            "github-app-refused",
            f"{self._host} returned no token to the GitHub App {self._app_id}: {why}",
            fix=f"check the App's id, its key in {self._key_file.path}, and that the App is installed there",
        )


def _segment(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
