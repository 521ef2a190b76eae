"""The stages that act: credentials, secrets, images, host, disks, containers, health. Only for flawless user data."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from whence_agent.credentials import CredentialKeeper
from whence_agent.ending import Ending
from whence_agent.health_watch import HealthWatch
from whence_agent.host_metrics import HostMetrics
from whence_agent.ports import ContainerWatch, Engine, EngineFailed, Machine, Probe, ResolvedImage
from whence_agent.ports_cloud import CloudRefused, LoadBalancers, Volumes
from whence_agent.progress import Progress, StageProgress
from whence_agent.settings import Settings
from whence_agent.sign_in import SignIn
from whence_agent.stages.container import PulledImage, Specifier, in_order, sidecar_name, write_meta
from whence_agent.stages.health import until_healthy, until_in_service
from whence_agent.stages.image import ImageResolver, LoginSource, pull_image
from whence_agent.stages.secrets import Resolved, SecretResolver
from whence_agent.stages.storage import VolumeAttacher, host_request, storage_request, tags_to_forget
from whence_agent.supervision import Supervision
from whence_agent.tokens import TokenKeeper
from whence_common.errors import RoadError
from whence_common.image_reference import ImageReference
from whence_common.logs import fields
from whence_common.pause import pause
from whence_common.statement import ContainerFacts, ImageFacts
from whence_common.user_data.judge import UserData

log = logging.getLogger(__name__)


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

    async def run(self, user_data: UserData) -> None:
        """Go through the acting stages. Raises StageFailed."""
        await self._credentials(user_data)
        async with self.progress.stage("secrets", seconds_max=self.settings.stage_seconds("secrets")):
            resolved = await self.secrets.resolve(user_data)
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
            await self.tear_down()
            return
        async with self.progress.stage("run", seconds_max=self.settings.stage_seconds("run")):
            await self._start(user_data, resolved, pulled, pulled_others)
        await self._health(user_data)
        await self._in_service(user_data)

    def watch(self, user_data: UserData) -> None:
        """Have the services after the boot look after what runs now."""
        observed, settings = self.progress.observed, self.settings
        stop_seconds = {settings.container_name: user_data.options.stop_seconds}
        sharing = {sidecar_name(settings, one) for one in in_order(user_data)[1]}
        stop_seconds |= {sidecar_name(settings, one): one.options.stop_seconds for one in user_data.sidecars}
        for facts in (observed.container, *observed.sidecars.values()):
            if facts is not None:
                main = facts.name == settings.container_name
                self.supervision.watch(
                    facts.name, digest=facts.image_digest, main=main, shares_network=facts.name in sharing
                )
                seconds = stop_seconds.get(facts.name)
                self.ending.containers[facts.name] = 30 if seconds is None else seconds
        self.ending.load_balancer, self.ending.shutdown = user_data.load_balancer, user_data.shutdown
        self.health.watch(user_data.health_check)
        if user_data.cloudwatch_metrics:
            self.metrics.want()

    async def find(self, user_data: UserData) -> dict[str, ContainerFacts]:
        """Give the declared containers that are there, by name, waiting for an engine that is away.

        The stage's deadline ends the waiting. Raises EngineFailed for anything else.
        """
        attempt = 0
        while True:
            try:
                return await self._found(user_data)
            except EngineFailed as exc:
                if exc.code != "engine-unreachable":
                    raise
                attempt += 1
                self.progress.stages["run"].reason = exc.diagnostics()
                await pause(self.images.backoff.seconds(attempt))

    async def _found(self, user_data: UserData) -> dict[str, ContainerFacts]:
        names = [self.settings.container_name, *(sidecar_name(self.settings, one) for one in user_data.sidecars)]
        found = {name: await self.containers.inspect(name) for name in names}
        return {name: state.facts for name, state in found.items() if state is not None}

    async def keep_credentials(self, user_data: UserData) -> None:
        """Go on keeping credentials for containers that run already."""
        if user_data.mint_bucket is not None:
            self.keeper.configure(user_data.mint_bucket, user_data.application_id, user_data.tokens)
            self.tokens.configure(user_data.tokens)
            await self.keeper.poll()

    async def tear_down(self) -> None:
        """See to it that none of our containers runs."""
        prefix = f"{self.settings.container_name}-"
        try:
            async with asyncio.timeout(self.settings.stage_seconds("run")):
                sidecars = [one.name for one in await self.containers.running() if one.name.startswith(prefix)]
                for name in (self.settings.container_name, *sidecars):
                    await self.engine.stop(name)
            self.progress.observed.container = None
            self.progress.observed.sidecars = {}
        except (EngineFailed, TimeoutError) as exc:
            log.error("a container may still run", extra=fields(error=str(exc)))

    async def _credentials(self, user_data: UserData) -> None:
        if user_data.mint_bucket is None:
            return
        seconds_max = self.settings.credentials_first_seconds_max
        async with self.progress.stage("credentials", seconds_max=seconds_max + 5) as stage:
            self.keeper.configure(user_data.mint_bucket, user_data.application_id, user_data.tokens)
            self.tokens.configure(user_data.tokens)
            try:
                async with asyncio.timeout(seconds_max):
                    await self.keeper.first()
                    if user_data.tokens:
                        await self.tokens.first()
            except TimeoutError as exc:
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
            stage.reason = "; ".join(await self.machine.prepare(request))

    async def _storage(self, user_data: UserData) -> None:
        storage = user_data.storage
        if not storage:
            return
        seconds_max = self.settings.volumes_seconds_max + self.settings.stage_seconds("prepare")
        owner = None if user_data.options.root else (self.settings.application_uid, self.gid)
        async with self.progress.stage("storage", seconds_max=seconds_max) as stage:
            try:
                async with asyncio.timeout(self.settings.volumes_seconds_max):
                    attached = await self.attacher.attach(storage)
            except TimeoutError as exc:
                raise self._volumes_late(stage.reason) from exc
            stage.reason = "; ".join(await self.machine.prepare(storage_request(storage, attached, owner=owner)))
            for volume_id in tags_to_forget(storage, attached):
                try:
                    await self.volumes.forget_erase_tag(volume_id)
                except CloudRefused as exc:
                    fix = "take the tag Taupage:erase-on-boot away by hand, or the next boot formats it again"
                    raise CloudRefused(exc.code, f"{volume_id}: {exc.message}", fix=fix) from exc

    def _volumes_late(self, reason: str) -> CloudRefused:
        message = f"volumes were not attached within {self.settings.volumes_seconds_max:g} seconds: {reason}"
        return CloudRefused("volume-missing", message, fix="check the Name tag, the zone and who else holds the volume")

    async def _pull(self, image: _Wanted, stage: StageProgress, *, main: bool = False) -> PulledImage:
        image_id, scm_source = await pull_image(
            self.engine,
            image.facts,
            image.said.login,
            backoff=self.images.backoff,
            again=lambda: self.images.sign_in_again(image.facts, image.reference, image.sign_in, stage),
            claims=image.said.claims,
        )
        if main:
            self.progress.observed.scm_source = scm_source
        return PulledImage(facts=image.facts, image_id=image_id)

    async def _start(
        self, user_data: UserData, resolved: Resolved, image: PulledImage, others: dict[str, PulledImage]
    ) -> None:
        observed = self.progress.observed
        assert observed.identity is not None
        await asyncio.to_thread(write_meta, Path(self.settings.container_directory), user_data, gid=self.gid)
        say = Specifier(settings=self.settings, gid=self.gid, user_data=user_data, identity=observed.identity)
        before, after = in_order(user_data)
        await self._clear({sidecar_name(self.settings, one) for one in before})
        for sidecar in before:
            spec = say.sidecar(sidecar, others[sidecar.name], resolved.sidecars[sidecar.name])
            observed.sidecars[spec.name] = _declared(await self.engine.run(spec))
        observed.container = await self.engine.run(say.application(image, resolved.environment))
        for sidecar in after:
            spec = say.sidecar(sidecar, others[sidecar.name], resolved.sidecars[sidecar.name])
            observed.sidecars[spec.name] = _declared(await self.engine.run(spec))

    async def _clear(self, kept: set[str]) -> None:
        """Stop what is left of other user data, and what would keep the network of an application that is replaced."""
        for event in await self.containers.running():
            if event.name.startswith(f"{self.settings.container_name}-") and event.name not in kept:
                await self.engine.stop(event.name)

    async def _health(self, user_data: UserData) -> None:
        check = user_data.health_check
        if check is None:
            return
        async with self.progress.stage("health", seconds_max=float(check.timeout_seconds)):
            await until_healthy(
                check,
                probe=self.probe,
                engine=self.containers,
                name=self.settings.container_name,
                address=probe_address(self.settings),
            )

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


def _declared(facts: ContainerFacts) -> ContainerFacts:
    """Note that a sidecar was started from this very digest, which is not the application's."""
    return msgspec.structs.replace(facts, declared_digest=facts.image_digest)


def probe_address(settings: Settings) -> str:
    """Give the address of this machine at which published ports answer."""
    published = settings.publish_address
    return "127.0.0.1" if published == "0.0.0.0" else published  # noqa: S104 - compared, not bound
