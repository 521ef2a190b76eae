"""Creates the stages of the boot, in the table's order, and the boot."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from whence_agent.adapters.aws_http import AwsSecrets
from whence_agent.boot.adoption import AdoptStage
from whence_agent.boot.boot import Boot
from whence_agent.boot.bring_up import BringUp
from whence_agent.boot.credentials import CredentialsStage
from whence_agent.boot.disk_retries import DiskRetries
from whence_agent.boot.enrol import EnrolStage
from whence_agent.boot.failure import FailedBoot
from whence_agent.boot.handover import Handover
from whence_agent.boot.health import HealthStage, LoadBalancerStage
from whence_agent.boot.identity import IdentityStage
from whence_agent.boot.image import ImageResolver, ImageStage, TrustPolicy
from whence_agent.boot.notify import NotifyStage
from whence_agent.boot.pull import PullStage
from whence_agent.boot.run import Runner, RunStage
from whence_agent.boot.secrets import SecretResolver, SecretsStage
from whence_agent.boot.stage import Stage
from whence_agent.boot.storage import HostStage, MachineHelper, StorageStage, VolumeAttacher
from whence_agent.boot.tries import FIRST_PAUSE_SECONDS, BootTries
from whence_agent.boot.user_data import JudgeStage
from whence_agent.boot.warm_pool import WarmPool
from whence_agent.credentials.keeper import CredentialKeeper
from whence_agent.credentials.sign_in import SignIn
from whence_agent.credentials.token_sources import TokenSources
from whence_agent.credentials.tokens import TokenKeeper
from whence_agent.patience import Patience
from whence_agent.ports import Notifier
from whence_agent.progress.progress import Progress
from whence_agent.redaction import Redactor
from whence_agent.report.announcement import Announcer
from whence_agent.settings import Settings
from whence_agent.wiring.adapters import Adapters
from whence_agent.wiring.reporting import Reporting
from whence_common.backoff import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class BootParts:
    """The objects from which a boot is created."""

    settings: Settings
    gid: int
    adapters: Adapters
    reporting: Reporting
    progress: Progress
    redactor: Redactor
    patience: Patience
    policies: Mapping[str, TrustPolicy]
    keeper: CredentialKeeper
    tokens: TokenKeeper
    sources: TokenSources
    sign_in: SignIn
    announcer: Announcer

    def boot(self, handover: Handover, *, notifier: Notifier, console: Callable[[str], None]) -> Boot:
        """Return the boot."""
        runner = Runner(
            settings=self.settings, gid=self.gid, engine=self.adapters.engine, containers=self.adapters.engine,
            patience=self.patience,
        )  # fmt: skip
        credentials = CredentialsStage(
            settings=self.settings, keeper=self.keeper, tokens=self.tokens, sources=self.sources, patience=self.patience
        )
        bring_up = BringUp(settings=self.settings, progress=self.progress, stages=self._stages(runner, credentials))
        failure = FailedBoot(
            progress=self.progress, bring_up=bring_up, announcer=self.announcer, reporter=self.reporting.reporter,
            delivery=self.reporting.delivery, notifier=notifier, redactor=self.redactor,
            tries=_boot_tries(self.settings), console=console,
        )  # fmt: skip
        return Boot(
            progress=self.progress,
            bring_up=bring_up,
            adopting=AdoptStage(
                key=self.reporting.key, runner=runner, container_name=self.settings.container_name,
                boot_id=self.progress.boot_id,
            ),
            credentials=credentials,
            runner=runner,
            pool=WarmPool(metadata=self.adapters.metadata, patience=self.patience),
            handover=handover,
            failure=failure,
            disk=DiskRetries(progress=self.progress.boot),
            announcer=self.announcer,
            reporter=self.reporting.reporter,
            notifier=notifier,
            console=console,
        )  # fmt: skip

    def _stages(self, runner: Runner, credentials: CredentialsStage) -> tuple[Stage, ...]:
        settings, adapters, patience = self.settings, self.adapters, self.patience
        delivery, monotonic = self.reporting.delivery, self.progress.monotonic
        images = ImageResolver(
            registry=adapters.registry, repositories=adapters.cloud, policies=self.policies,
            rules=settings.platform_rules(), backoff=patience.backoff,
        )  # fmt: skip
        secrets = SecretResolver(secrets=AwsSecrets(adapters.aws), redactor=self.redactor, patience=patience)
        helper = MachineHelper(machine=adapters.machine, patience=patience)
        attacher = VolumeAttacher(volumes=adapters.cloud, metadata=adapters.metadata, patience=patience)
        return (
            IdentityStage(
                metadata=adapters.metadata, patience=patience, monotonic=monotonic, check=delivery.identify
            ),
            JudgeStage(settings=settings, announce=self.announcer.configure),
            EnrolStage(enrol=delivery.enrol, seconds_max=settings.stage_seconds("enrol")),
            credentials,
            SecretsStage(resolver=secrets),
            ImageStage(resolver=images, sign_in=self.sign_in),
            HostStage(settings=settings, helper=helper),
            StorageStage(settings=settings, gid=self.gid, helper=helper, attacher=attacher),
            PullStage(engine=adapters.engine, images=images, patience=patience, monotonic=monotonic),
            RunStage(runner=runner),
            HealthStage(settings=settings, probe=adapters.probe, engine=adapters.engine, runner=runner),
            LoadBalancerStage(balancers=adapters.cloud, pool=lambda: self.progress.watched.pool),
            NotifyStage(announcer=self.announcer),
        )  # fmt: skip


def _boot_tries(settings: Settings) -> BootTries:
    longest = settings.retry_pause_seconds_max
    first = min(FIRST_PAUSE_SECONDS, longest)
    return BootTries(backoff=Backoff(first_seconds=first, longest_seconds=longest, random=random.random))
