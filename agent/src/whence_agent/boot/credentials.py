"""Stage credentials: the first generation, and the first tokens, before the container starts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged
from whence_agent.credentials.keeper import CredentialKeeper
from whence_agent.credentials.token_sources import TokenSources
from whence_agent.credentials.tokens import TokenKeeper
from whence_agent.patience import Patience
from whence_agent.report.disk_road import full_disk_as_retryable
from whence_agent.settings import Settings
from whence_common.errors import RoadError
from whence_common.user_data.judge import UserData


class CredentialsMissing(RoadError):
    """There is no first generation of credentials, and the platform requires one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsStage:
    settings: Settings
    keeper: CredentialKeeper
    tokens: TokenKeeper
    sources: TokenSources
    patience: Patience
    name: str = "credentials"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return _is_wanted(so_far.of(Judged).user_data)

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Publish the first credentials and tokens. Raises CredentialsMissing if the platform requires them."""
        user_data, directory = so_far.of(Judged).user_data, self.settings.container_directory
        open_ = partial(self._open_directory, user_data)
        await self.patience.keep_trying(open_, handle.stage, waiting_for=f"the disk of {directory}")
        try:
            async with handle.part(self.settings.credentials_first_seconds_max):
                if self.keeper.configured:
                    await self.keeper.first(handle.stage, self.patience)
                if user_data.tokens:
                    await self.tokens.first(handle.stage, self.patience)
        except TimeoutError as exc:
            if self.keeper.state == "current" and not user_data.tokens:
                return Observation()  # the keeper's own service fetched them during a pause of this stage
            lacks_files = self.keeper.configured and self.keeper.state != "current"
            why = self.keeper.message if lacks_files else self.tokens.error
            if self.settings.credentials_required:
                message = f"no credentials within {self.settings.credentials_first_seconds_max:g} seconds: {why}"
                raise CredentialsMissing("credentials-missing", message) from exc
            return Observation(deferred=True, note=why)
        return Observation()

    async def keep(self, user_data: UserData) -> None:
        """Continue to update the credentials of adopted containers. Raises DirectoryTaken or OSError."""
        if _is_wanted(user_data):
            self._configure(user_data)
        if self.keeper.configured:
            await self.keeper.poll()

    async def _open_directory(self, user_data: UserData) -> None:
        with full_disk_as_retryable(self.settings.container_directory):
            self._configure(user_data)

    def _configure(self, user_data: UserData) -> None:
        self.keeper.configure(user_data.mint_bucket, user_data.application_id, user_data.tokens)
        self.tokens.configure(user_data.tokens)
        self.sources.configure(user_data.token_source, user_data.application_id)


def _is_wanted(user_data: UserData) -> bool:
    return user_data.mint_bucket is not None or bool(user_data.tokens)
