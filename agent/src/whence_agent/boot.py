"""The boot: bring the instance to the state its user data specifies, or to no container at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from whence_agent.credentials import CredentialKeeper
from whence_agent.delivery import Delivery
from whence_agent.instance_key import InstanceKey
from whence_agent.ports import (
    AggregatorUnavailable,
    Decrypter,
    Engine,
    EngineFailed,
    Metadata,
    Notifier,
    Probe,
    Registry,
)
from whence_agent.progress import Progress, StageFailed
from whence_agent.reporter import Reporter
from whence_agent.settings import Settings
from whence_agent.stages.container import container_spec, write_meta
from whence_agent.stages.health import until_healthy
from whence_agent.stages.identity import read_identity
from whence_agent.stages.image import pull_image, resolve_image
from whence_agent.stages.secrets import decrypt_environment
from whence_common.backoff import Backoff
from whence_common.clock import to_instant
from whence_common.digest import sha256_digest
from whence_common.logs import fields
from whence_common.problems import has_errors
from whence_common.statement import ApplicationFacts, ContainerFacts, ImageFacts, ScmSourceFacts, UserDataFacts
from whence_common.user_data.judge import UserData, judge
from whence_common.user_data.masking import masked

log = logging.getLogger(__name__)

IDENTITY_SECONDS_MAX = 120.0
ENROL_SECONDS_MAX = 10.0
IMAGE_SECONDS_MAX = 120.0
SECRETS_SECONDS_MAX = 60.0
PULL_SECONDS_MAX = 900.0
RUN_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Everything the boot touches that is not ours."""

    metadata: Metadata
    registry: Registry
    engine: Engine
    decrypter: Decrypter
    probe: Probe
    notifier: Notifier


class Boot:
    """One boot of one machine. `run` is a service: it stays after the boot, so that its end is always a failure."""

    def __init__(
        self,
        *,
        settings: Settings,
        gid: int,
        outside: Outside,
        progress: Progress,
        reporter: Reporter,
        keeper: CredentialKeeper,
        delivery: Delivery,
        key: InstanceKey,
        backoff: Backoff,
    ) -> None:
        self._settings = settings
        self._gid = gid
        self._outside = outside
        self._progress = progress
        self._reporter = reporter
        self._keeper = keeper
        self._delivery = delivery
        self._key = key
        self._backoff = backoff

    async def run(self) -> None:
        """Boot once, tell how it ended, then stay."""
        try:
            await self.boot()
        except StageFailed as exc:
            await self._no_container(exc)
        await asyncio.Event().wait()

    async def boot(self) -> None:
        """Go through the stages. Raises StageFailed; nothing is touched before the judgement is complete."""
        raw = await self._identity()
        user_data = await self._judge(raw)
        await self._enrol()
        if not await self._adopt(user_data):
            await self._bring_up(user_data)
        self._progress.state = "up"
        self._progress.booted.set()
        self._reporter.report("boot")
        self._outside.notifier.notify(ready=True, status=f"running {user_data.application_id}")
        log.info("booted", extra=fields(application=user_data.application_id, version=user_data.application_version))

    async def _identity(self) -> bytes:
        async with self._progress.stage("identity", seconds_max=IDENTITY_SECONDS_MAX):
            return await read_identity(self._outside.metadata, self._progress, backoff=self._backoff)

    async def _judge(self, raw: bytes) -> UserData:
        observed = self._progress.observed
        async with self._progress.stage("user-data", seconds_max=10.0):
            judgement = judge(raw, self._settings.registry_rules())
            observed.problems = judgement.problems
            document = judgement.document
            if document is not None:
                document = masked(document, whole_environment=self._settings.mask_environment)
            observed.user_data = UserDataFacts(digest=sha256_digest(raw), document=document)
            if judgement.user_data is None:
                raise StageFailed("user-data", tuple(p for p in judgement.problems if p.severity == "error"))
            user_data = judgement.user_data
            observed.application = ApplicationFacts(id=user_data.application_id, version=user_data.application_version)
            return user_data

    async def _enrol(self) -> None:
        """Enrol if that is quickly done; the aggregator being away never stops a boot."""
        async with self._progress.stage("enrol", seconds_max=ENROL_SECONDS_MAX + 5) as stage:
            try:
                async with asyncio.timeout(ENROL_SECONDS_MAX):
                    await self._delivery.enrol()
            except AggregatorUnavailable as exc:
                stage.outcome, stage.reason = "deferred", exc.diagnostics()
            except TimeoutError:
                stage.outcome, stage.reason = "deferred", "the aggregator did not answer in time"

    async def _bring_up(self, user_data: UserData) -> None:
        settings, outside, progress = self._settings, self._outside, self._progress
        async with progress.stage("image", seconds_max=IMAGE_SECONDS_MAX):
            vouched = settings.registry_rules().tags_of(user_data.source.registry) == "vouched"
            image = await resolve_image(outside.registry, user_data.source, tag_vouched=vouched, backoff=self._backoff)
            progress.observed.image = image
        await self._credentials(user_data)
        async with progress.stage("secrets", seconds_max=SECRETS_SECONDS_MAX):
            environment = await decrypt_environment(user_data.environment, outside.decrypter)
        async with progress.stage("pull", seconds_max=PULL_SECONDS_MAX):
            image_id = await pull_image(outside.engine, image, progress)
        async with progress.stage("run", seconds_max=RUN_SECONDS_MAX):
            await asyncio.to_thread(write_meta, Path(settings.container_directory), user_data, gid=self._gid)
            spec = container_spec(user_data, image, image_id, environment, settings=settings, gid=self._gid)
            progress.observed.container = await outside.engine.run(spec)
        await self._health(user_data)
        self._remember(user_data)

    async def _credentials(self, user_data: UserData) -> None:
        if user_data.mint_bucket is None:
            return
        seconds_max = self._settings.credentials_first_seconds_max
        required = self._settings.credentials_required
        async with self._progress.stage("credentials", seconds_max=seconds_max + 5) as stage:
            self._keeper.configure(user_data.mint_bucket, user_data.application_id)
            try:
                async with asyncio.timeout(seconds_max):
                    await self._keeper.first()
            except TimeoutError as exc:
                if required:
                    message = f"no credentials within {seconds_max:g} seconds: {self._keeper.message}"
                    raise EngineFailed("credentials-missing", message) from exc
                stage.outcome, stage.reason = "deferred", self._keeper.message

    async def _health(self, user_data: UserData) -> None:
        check = user_data.health_check
        if check is None:
            return
        address = self._settings.publish_address
        async with self._progress.stage("health", seconds_max=float(check.timeout_seconds)):
            await until_healthy(
                check,
                probe=self._outside.probe,
                engine=self._outside.engine,
                name=self._settings.container_name,
                address="127.0.0.1" if address == "0.0.0.0" else address,  # noqa: S104 - compared, not bound
            )

    async def _adopt(self, user_data: UserData) -> bool:
        """Take over the container of this very boot and user data: restarting the agent restarts no application."""
        remembered = self._key.remembered("running")
        if remembered.get("boot_id") != self._progress.boot_id or remembered.get("user_data") != user_data.digest:
            return False
        async with self._progress.stage("run", seconds_max=RUN_SECONDS_MAX) as stage:
            found = await self._outside.engine.inspect(self._settings.container_name)
            if found is None or found.state != "running" or found.container_id != remembered.get("container_id"):
                return False
            stage.reason = "the container of this boot already runs"
            self._recall(remembered, found)
        if user_data.mint_bucket is not None:
            self._keeper.configure(user_data.mint_bucket, user_data.application_id)
            await self._keeper.poll()
        return True

    def _remember(self, user_data: UserData) -> None:
        observed = self._progress.observed
        assert observed.container is not None
        values = {
            "boot_id": self._progress.boot_id,
            "user_data": user_data.digest,
            "container_id": observed.container.container_id,
            "image": msgspec.to_builtins(observed.image),
            "scm_source": msgspec.to_builtins(observed.scm_source),
        }
        self._key.remember("running", values)

    def _recall(self, remembered: Mapping[str, Any], container: ContainerFacts) -> None:
        observed = self._progress.observed
        observed.image = msgspec.convert(remembered["image"], ImageFacts)
        observed.scm_source = msgspec.convert(remembered["scm_source"], ScmSourceFacts)
        observed.container = container

    async def _no_container(self, failure: StageFailed) -> None:
        """See to it that no container runs, and tell why."""
        progress = self._progress
        known = progress.observed.problems
        progress.observed.problems = known if has_errors(known) else (*known, *failure.problems)
        try:
            async with asyncio.timeout(RUN_SECONDS_MAX):
                await self._outside.engine.stop(self._settings.container_name)
            progress.observed.container = None
        except (EngineFailed, TimeoutError) as exc:
            log.error("the container may still run", extra=fields(error=str(exc)))
        progress.state = "failed"
        progress.failed_at = to_instant(progress.now())
        log.error("boot failed", extra=fields(stage=failure.stage, problems=[p.code for p in failure.problems]))
        self._reporter.report("failed")
        self._outside.notifier.notify(ready=True, status=f"boot failed at {failure.stage}: see the status endpoint")
