"""The stages that act: credentials, secrets, images, host, disks, containers, health. Only for flawless user data."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from whence_agent.boot.container import PulledImage, joined_networks, sidecar_name
from whence_agent.boot.health import CheckedContainer, until_healthy, until_in_service
from whence_agent.boot.image import ImageResolver, LoginSource
from whence_agent.boot.pull import ImagePull
from whence_agent.boot.run import Runner
from whence_agent.boot.secrets import Resolved, SecretResolver
from whence_agent.boot.storage import (
    VOLUME_MISSING_FIX,
    VolumeAttacher,
    host_request,
    storage_request,
    tags_to_forget,
)
from whence_agent.credentials.keeper import CredentialKeeper
from whence_agent.credentials.sign_in import SignIn
from whence_agent.credentials.tokens import TokenKeeper
from whence_agent.machine.protocol import MachineFailed, Request
from whence_agent.patience import Patience
from whence_agent.ports import ContainerWatch, Engine, Machine, Probe, ResolvedImage
from whence_agent.ports_cloud import CloudRefused, LoadBalancers, Volumes
from whence_agent.progress import Progress, StageProgress
from whence_agent.report.disk_road import room_on
from whence_agent.settings import Settings
from whence_agent.watch.draining import Ending
from whence_agent.watch.health import HealthWatch
from whence_agent.watch.metrics import HostMetrics
from whence_agent.watch.supervision import Supervision
from whence_common.errors import RoadError
from whence_common.image_reference import ImageReference
from whence_common.statement import ImageFacts
from whence_common.user_data.judge import UserData

log = logging.getLogger(__name__)

HOST_TRY_SECONDS_MAX = 20.0
"""One try of the host's settings, which take a moment; disks may take as long as their stage."""


class CredentialsMissing(RoadError):
    """There is no first generation of credentials, and the platform asks for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """An image that was resolved, and how its registry is signed in to."""

    reference: ImageReference
    facts: ImageFacts
    said: ResolvedImage
    sign_in: LoginSource


@dataclass(slots=True, kw_only=True)
class BringUp:
    """Everything between a judged document and a healthy application."""

    settings: Settings
    gid: int
    progress: Progress
    engine: Engine
    containers: ContainerWatch
    machine: Machine
    volumes: Volumes
    load_balancers: LoadBalancers
    probe: Probe
    sign_in: SignIn
    secrets: SecretResolver
    images: ImageResolver
    attacher: VolumeAttacher
    keeper: CredentialKeeper
    tokens: TokenKeeper
    supervision: Supervision
    health: HealthWatch
    metrics: HostMetrics
    ending: Ending
    runner: Runner
    patience: Patience

    async def run(self, user_data: UserData) -> None:
        """Go through the acting stages. Raises StageFailed."""
        await self._credentials(user_data)
        async with self.progress.stage("secrets", seconds_max=self.settings.stage_seconds("secrets")) as stage:
            resolved = await self.secrets.resolve(user_data, stage)
        async with self.progress.stage("image", seconds_max=self.settings.stage_seconds("image")) as stage:
            image = await self._resolve(user_data.source, resolved, stage)
            self.progress.observed.image = image.facts
            others = {one.name: await self._resolve(one.source, resolved, stage) for one in user_data.sidecars}
        await self._host(user_data)
        await self._storage(user_data)
        async with self.progress.stage("pull", seconds_max=self.settings.stage_seconds("pull")) as stage:
            pulled = await self._pull(image, stage, main=True)
            pulled_others = {name: await self._pull(other, stage) for name, other in others.items()}
        if not user_data.start:
            self.progress.maintenance = True
            await self.runner.tear_down()
            return
        async with self.progress.stage("run", seconds_max=self.settings.stage_seconds("run")) as stage:
            await self.runner.start(user_data, resolved, pulled, pulled_others, stage)
        await self._health(user_data)
        await self._in_service(user_data)

    def watch(self, user_data: UserData) -> None:
        """Have the services after the boot look after what runs now."""
        observed, settings = self.progress.observed, self.settings
        stop_seconds = {settings.container_name: user_data.options.stop_seconds}
        networks = joined_networks(user_data, settings)
        stop_seconds |= {sidecar_name(settings, one): one.options.stop_seconds for one in user_data.sidecars}
        for facts in (observed.container, *observed.sidecars.values()):
            if facts is not None:
                main = facts.name == settings.container_name
                self.supervision.watch(
                    facts.name, digest=facts.image_digest, main=main, joins=networks.get(facts.name, "")
                )
                seconds = stop_seconds.get(facts.name)
                self.ending.containers[facts.name] = 30 if seconds is None else seconds
        self.ending.load_balancer, self.ending.shutdown = user_data.load_balancer, user_data.shutdown
        self.health.watch(user_data.health_check)
        if user_data.cloudwatch_metrics:
            self.metrics.want()

    async def keep_credentials(self, user_data: UserData) -> None:
        """Go on keeping credentials for containers that run already."""
        if user_data.mint_bucket is not None:
            self.keeper.configure(user_data.mint_bucket, user_data.application_id, user_data.tokens)
            self.tokens.configure(user_data.tokens)
            await self.keeper.poll()

    async def _take_directory(self, user_data: UserData, bucket: str) -> None:
        with room_on(self.settings.container_directory):
            self.keeper.configure(bucket, user_data.application_id, user_data.tokens)
            self.tokens.configure(user_data.tokens)

    async def _credentials(self, user_data: UserData) -> None:
        if user_data.mint_bucket is None:
            return
        seconds_max = self.settings.credentials_first_seconds_max
        async with self.progress.stage("credentials", seconds_max=seconds_max + 5) as stage:
            take = partial(self._take_directory, user_data, user_data.mint_bucket)
            await self.patience.keep_trying(take, stage, waiting_for=f"the disk of {self.settings.container_directory}")
            try:
                async with self.progress.part(stage, seconds_max=seconds_max):
                    await self.keeper.first(stage, self.patience)
                    if user_data.tokens:
                        await self.tokens.first(stage, self.patience)
            except TimeoutError as exc:
                if self.keeper.state == "current" and not user_data.tokens:
                    return  # its own service got them while the stage made a pause
                why = self.keeper.message if self.keeper.state != "current" else self.progress.tokens_error
                if self.settings.credentials_required:
                    message = f"no credentials within {seconds_max:g} seconds: {why}"
                    raise CredentialsMissing("credentials-missing", message) from exc
                stage.outcome, stage.reason = "deferred", why

    async def _resolve(self, reference: ImageReference, resolved: Resolved, stage: StageProgress) -> _Wanted:
        sign_in = partial(self.sign_in.login, reference, resolved.sign_in)
        facts, said = await self.images.resolve(reference, sign_in, stage)
        return _Wanted(reference=reference, facts=facts, said=said, sign_in=sign_in)

    async def _host(self, user_data: UserData) -> None:
        request = host_request(user_data.host, instance_users=self.settings.instance_users)
        if request is None:
            return
        async with self.progress.stage("host", seconds_max=self.settings.stage_seconds("host")) as stage:
            await self._prepare(request, stage, seconds_max=HOST_TRY_SECONDS_MAX)

    async def _prepare(self, request: Request, stage: StageProgress, *, seconds_max: float | None = None) -> None:
        """Have the helper work, waiting for one that is away; doing it again is harmless. Raises MachineFailed."""

        async def once() -> list[str]:
            try:
                async with asyncio.timeout(seconds_max):
                    return await self.machine.prepare(request)
            except TimeoutError as exc:
                message = f"the helper was not done within {seconds_max or 0:g} seconds"
                raise MachineFailed("machine-helper-late", message, retryable=True) from exc

        stage.reason = "; ".join(await self.patience.keep_trying(once, stage, waiting_for="the machine helper"))

    async def _storage(self, user_data: UserData) -> None:
        storage = user_data.storage
        if not storage:
            return
        seconds_max = self.settings.volumes_seconds_max + self.settings.stage_seconds("prepare")
        owner = None if user_data.options.root else (self.settings.application_uid, self.gid)
        async with self.progress.stage("storage", seconds_max=seconds_max) as stage:
            try:
                async with self.progress.part(stage, seconds_max=self.settings.volumes_seconds_max):
                    attached = await self.attacher.attach(storage, stage)
            except TimeoutError as exc:
                raise self._volumes_late(stage) from exc
            await self._prepare(storage_request(storage, attached, owner=owner), stage)
            for volume_id in tags_to_forget(storage, attached):
                await self.attacher.forget_erase_tag(volume_id, stage)

    def _volumes_late(self, stage: StageProgress) -> CloudRefused:
        last = stage.last_error
        why = last.message if last is not None else "EC2 does not answer"
        message = f"volumes were not attached within {self.settings.volumes_seconds_max:g} seconds: {why}"
        return CloudRefused("volume-missing", message, fix=(last.fix if last is not None else "") or VOLUME_MISSING_FIX)

    async def _pull(self, image: _Wanted, stage: StageProgress, *, main: bool = False) -> PulledImage:
        pull = ImagePull(
            engine=self.engine,
            patience=self.patience,
            monotonic=self.progress.monotonic,
            stage=stage,
            image=image.facts,
            login=image.said.login,
            again=lambda: self.images.sign_in_again(image.facts, image.reference, image.sign_in, stage),
        )
        image_id, scm_source = await pull.run(image.said.claims)
        if main:
            self.progress.observed.scm_source = scm_source
        return PulledImage(facts=image.facts, image_id=image_id)

    async def _health(self, user_data: UserData) -> None:
        check = user_data.health_check
        if check is None:
            return
        checked = CheckedContainer(
            name=self.settings.container_name,
            address=probe_address(self.settings),
            revive=partial(self.runner.revive, user_data),
        )
        async with self.progress.stage("health", seconds_max=float(check.timeout_seconds)) as stage:
            await until_healthy(check, checked, probe=self.probe, engine=self.containers, stage=stage)

    async def _in_service(self, user_data: UserData) -> None:
        target = user_data.load_balancer
        if target is None:
            return
        async with self.progress.stage(
            "load-balancer", seconds_max=self.settings.stage_seconds("load-balancer")
        ) as stage:
            if self.progress.pool:
                stage.reason = f"not asked: this machine goes into its warm pool ({self.progress.pool})"
                return
            await until_in_service(target, self.load_balancers, instance_id=self.progress.instance_id(), stage=stage)


def probe_address(settings: Settings) -> str:
    """Give the address of this machine at which published ports answer."""
    published = settings.publish_address
    return "127.0.0.1" if published == "0.0.0.0" else published  # noqa: S104 - compared, not bound
