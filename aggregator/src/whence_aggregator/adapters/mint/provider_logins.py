"""How mint signs in at a provider: a bearer token from a file, or one for a client's own credentials.

Files are read at each use, so that a new token takes effect at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from whence_aggregator.adapters.mint.provider_http import (
    ANSWER_BYTES_MAX,
    ProviderAnswer,
    ProviderHttp,
    basic,
    bearer,
)
from whence_aggregator.ports import SourceUnavailable

_FILE_BYTES_MAX = 16 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]{1,16000}\Z")
_SPARE_SECONDS = 30.0
_SECONDS_MAX = 300.0
"""How long a token is used at most, whatever the provider states."""


class SecretFile:
    """A file with one secret. Whitespace around it is removed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def read(self) -> str:
        """Return the secret. Raises SourceUnavailable."""
        try:
            text = await asyncio.to_thread(self._read)
        except OSError as exc:
            message = f"{self.path} cannot be read: {exc.strerror}"
            raise SourceUnavailable("provider-login-file", message, fix="correct the path or the file's mode") from exc
        if not _TOKEN.match(text):
            raise SourceUnavailable(
                "provider-login-file", f"{self.path} does not contain one line of printable ASCII",
                fix="write only the token or secret to it",
            )  # fmt: skip
        return text

    def _read(self) -> str:
        with self.path.open("rb") as stream:
            return stream.read(_FILE_BYTES_MAX + 1).decode("utf-8", "replace").strip()


class BearerTokens(Protocol):
    """Tokens that the provider knows mint by."""

    @property
    def fix(self) -> str:
        """What to do when the provider does not accept them."""

    async def token(self) -> str:
        """Return the token. Raises SourceUnavailable, ProviderRefused."""

    async def renewed(self, refused: str) -> str | None:
        """Return another token than the one that was refused; None: there is no other."""


class FileTokens:
    """A token from a file, which somebody else renews."""

    def __init__(self, file: SecretFile) -> None:
        self._file = file

    @property
    def fix(self) -> str:
        return f"write a valid token to {self._file.path}"

    async def token(self) -> str:
        return await self._file.read()

    async def renewed(self, refused: str) -> str | None:
        token = await self._file.read()
        return token if token != refused else None


class AnonymousTokens:
    """No token: registration is open to everyone who reaches the provider."""

    fix = "set token_file to the file of an initial access token"

    async def token(self) -> str:
        return ""

    async def renewed(self, refused: str) -> str | None:
        return None


class ClientTokens:
    """Tokens by mint's own client credentials. `seconds` is a monotonic clock."""

    def __init__(
        self, *, calls: ProviderHttp, token_url: str, client_id: str, secret: SecretFile, rights: str,
        seconds: Callable[[], float],
    ) -> None:  # fmt: skip
        self._calls = calls
        self._token_url = token_url
        self._client_id = client_id
        self._secret = secret
        self._rights = rights
        self._seconds = seconds
        self._held: tuple[str, float] | None = None

    @property
    def fix(self) -> str:
        return f"check the client {self._client_id}, its secret in {self._secret.path}, and that it has {self._rights}"

    async def token(self) -> str:
        if self._held is None or self._held[1] <= self._seconds():
            self._held = await self._requested()
        return self._held[0]

    async def renewed(self, refused: str) -> str | None:
        if self._held is not None and self._held[0] == refused:
            self._held = None
        return await self.token()

    async def _requested(self) -> tuple[str, float]:
        secret = await self._secret.read()
        answer = await self._calls.send(
            "POST", self._token_url, headers=basic(self._client_id, secret, form_encoded=True),
            form={"grant_type": "client_credentials"}, secrets=(secret,),
        )  # fmt: skip
        if answer.status != 200:
            raise self._calls.refusal("give mint a token", answer, fix=self.fix)
        document = answer.document if isinstance(answer.document, dict) else {}
        token, lives = document.get("access_token"), document.get("expires_in")
        if not isinstance(token, str) or not _TOKEN.match(token):
            raise self._calls.refused("provider-malformed", "answers without a token for mint", fix=self.fix)
        stated = float(lives) if isinstance(lives, int) and not isinstance(lives, bool) else 0.0
        return token, self._seconds() + min(max(stated - _SPARE_SECONDS, 0.0), _SECONDS_MAX)


class SignedInCalls:
    """Requests with mint's token. A token that is refused is renewed once; then the request is refused."""

    def __init__(self, *, calls: ProviderHttp, tokens: BearerTokens) -> None:
        self.calls = calls
        self._tokens = tokens

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        secrets: Sequence[str] = (),
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> ProviderAnswer:
        """Send a request to a path below the base URL. Raises as ProviderHttp does."""

        async def sent(token: str) -> ProviderAnswer:
            return await self.calls.send(
                method, self.calls.place.url(path), headers=bearer(token) if token else {}, body=body,
                secrets=(token, *secrets) if token else secrets, bytes_max=bytes_max,
            )  # fmt: skip

        token = await self._tokens.token()
        answer = await sent(token)
        if answer.status == 401:
            other = await self._tokens.renewed(token)
            answer = answer if other is None else await sent(other)
        if answer.status in (401, 403):
            what = "does not accept mint's token" if answer.status == 401 else "does not allow mint to do this"
            raise self.calls.refused("provider-login", f"{what} (HTTP {answer.status})", fix=self._tokens.fix)
        return answer
