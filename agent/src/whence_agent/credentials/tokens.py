"""The token files that STUPS's token libraries read: renewed in time, and never empty."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from whence_agent.credentials.keeper import CredentialKeeper
from whence_agent.credentials.token_sources import TokenSources
from whence_agent.patience import Patience
from whence_agent.ports import AccessToken, SecretUnavailable
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageProgress
from whence_agent.redaction import Redactor
from whence_common.backoff import Backoff
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

_LOOK_SECONDS_MAX = 60.0


@dataclass(slots=True, kw_only=True)
class _Held:
    token: AccessToken
    refresh_at: float
    ends_at: float
    note: str
    """Why it is of another source than it should be; empty if it is not."""
    client: Mapping[str, str] | None = field(repr=False)
    """The application's client when it was requested. Providers may end a client's tokens with the client."""


class TokenKeeper:
    """Requests a token for every name; renews it at half of its lifetime, or when the application's client changes."""

    def __init__(
        self,
        *,
        sources: TokenSources,
        keeper: CredentialKeeper,
        progress: Progress,
        redactor: Redactor,
        expired: Literal["keep", "remove"],
        random: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._keeper = keeper
        self._progress = progress
        self._redactor = redactor
        self._expired = expired
        self._random = random
        self._backoff = Backoff(first_seconds=1.0, longest_seconds=60.0, random=random)
        self._scopes: Mapping[str, tuple[str, ...]] = {}
        self._held: dict[str, _Held] = {}
        self._attempt = 0
        self._changed = asyncio.Event()

    @property
    def error(self) -> str:
        """Why a token could not be got; empty when every one could."""
        return self._progress.credentials.tokens_error

    def configure(self, scopes: Mapping[str, tuple[str, ...]]) -> None:
        """Set the tokens to keep: names and their scopes."""
        self._scopes = scopes

    async def first(self, stage: StageProgress, patience: Patience) -> None:
        """Retry until every token is available; the caller sets the deadline."""

        async def once() -> None:
            await self.refresh()
            if self._held.keys() != self._scopes.keys():
                raise SecretUnavailable("tokens-missing", self.error)

        await patience.keep_trying(once, stage, waiting_for="the token endpoint")

    async def run(self) -> None:
        """Renew tokens until cancelled."""
        while True:
            await pause(self._next_look(), self._changed)
            self._changed.clear()
            if self._scopes and self._sources.ready:
                await self.refresh()

    def look(self) -> None:
        """Look now which tokens are due, as the files of the bucket have changed."""
        self._changed.set()

    async def refresh(self) -> None:
        """Request the tokens that are due, and publish all. Errors of the issuer are shown on the status page."""
        now, failed = self._progress.monotonic(), ""
        for name, scopes in self._scopes.items():
            if not self._sources.ready or not self._is_due(name, now):
                continue
            client = self._keeper.client()
            try:
                token, note = await self._sources.request(scopes)
            except SecretUnavailable as exc:
                failed = f"token {name}: {exc.diagnostics()}"
                continue
            self._redactor.learn(token.token)
            life = token.expires_seconds
            refresh_at = now + life * (0.4 + 0.1 * self._random())
            self._held[name] = _Held(token=token, refresh_at=refresh_at, ends_at=now + life, note=note, client=client)
        self._attempt = self._attempt + 1 if failed else 0
        noted = next((f"token {name}: {held.note}" for name, held in self._held.items() if held.note), "")
        failed = failed or noted
        if failed and failed != self._progress.credentials.tokens_error:
            log.warning("a token could not be got", extra=fields(reason=failed))
        self._progress.credentials.record_tokens_error(failed)
        self._keeper.keep_tokens(self._files(now, self._keeper.client() or {}))

    def _is_due(self, name: str, now: float) -> bool:
        held, client = self._held.get(name), self._keeper.client()
        return held is None or now >= held.refresh_at or (client is not None and client != held.client)

    def _files(self, now: float, client: Mapping[str, str]) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for name, held in self._held.items():
            if now >= held.ends_at and self._expired == "remove":
                continue
            files[f"{name}-token-type"] = b"Bearer"
            files[f"{name}-token-secret"] = held.token.token.encode("ascii")
            if client.get("client_id"):
                files[f"{name}-client-id"] = str(client["client_id"]).encode()
            if client.get("client_secret"):
                files[f"{name}-client-secret"] = str(client["client_secret"]).encode()
        return files

    def _next_look(self) -> float:
        if self._attempt:
            return self._backoff.seconds(self._attempt)
        due = min((held.refresh_at for held in self._held.values()), default=0.0) - self._progress.monotonic()
        return min(max(due, 1.0), _LOOK_SECONDS_MAX)
