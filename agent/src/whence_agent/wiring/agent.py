"""The agent as services; a reload creates them again."""

from __future__ import annotations

import random
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

from whence_agent.adapters.aws_http import S3Objects
from whence_agent.adapters.platform_files import logins_of, proxies_of, trust_policies
from whence_agent.adapters.root_packages import RootPackages
from whence_agent.adapters.systemd import machine_is_stopping
from whence_agent.adapters.web_identity import StsWebIdentity
from whence_agent.boot.handover import Handover
from whence_agent.boot.health import probe_address
from whence_agent.credentials.generations import Generations
from whence_agent.credentials.keeper import CredentialKeeper, Revocation
from whence_agent.credentials.pull_tokens import PullTokenClient
from whence_agent.credentials.sign_in import SignIn
from whence_agent.credentials.token_sources import TokenSources
from whence_agent.credentials.tokens import TokenKeeper
from whence_agent.patience import Patience
from whence_agent.proxies import Proxies, passwords
from whence_agent.pulse import Pulse
from whence_agent.report.announcement import Announcer
from whence_agent.report.at_rest import AtRest
from whence_agent.settings import Settings
from whence_agent.start import Started
from whence_agent.watch.draining import Ending
from whence_agent.watch.health import HealthWatch
from whence_agent.watch.metrics import HostMetrics, read_host
from whence_agent.watch.notices import NoticeWatch
from whence_agent.watch.packages import PackageWatch
from whence_agent.watch.supervision import Supervision
from whence_agent.wiring.adapters import make_adapters
from whence_agent.wiring.process import Process, application_gid, up_seconds
from whence_agent.wiring.reporting import make_reporting
from whence_agent.wiring.stages import BootParts
from whence_common.backoff import Backoff
from whence_common.runtime.lifecycle import Ended, Service, run_until_signal
from whence_common.runtime.memory import give_back, resident_bytes, unwritten_mappings


async def run_agent(settings: Settings, process: Process, started: Started) -> Ended:
    """Run the agent until a signal ends it. Raises SettingsInvalid or OSError when it cannot start."""
    proxies = proxies_of(settings, process.proxies)
    for password in passwords(proxies):
        process.redactor.learn(password)
    async with AsyncExitStack() as stack:
        agent = _Agent(settings, process, started, stack)
        await agent.connect(proxies)
        return await run_until_signal(agent.services(), on_stopping=agent.stopping, may_reload=process.may_reload)


class _Agent:
    """The objects that the services share."""

    def __init__(self, settings: Settings, process: Process, started: Started, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.process = process
        self.started = started
        self.stack = stack
        self.gid = application_gid(settings)
        self.policies = trust_policies(settings)
        self.platform_logins = logins_of(settings.docker_config_file)
        self.notifier, self.progress, self.redactor = started.notifier, started.progress, process.redactor
        self.pulse = Pulse(monotonic=time.monotonic, notifier=self.notifier, watchdog_seconds=process.watchdog_seconds)
        self.patience = Patience(backoff=Backoff(first_seconds=0.3, longest_seconds=10.0, random=random.random))

    async def connect(self, proxies: Proxies) -> None:
        """Create the adapters, and what uses them: delivery, credentials, announcements, draining."""
        settings, progress = self.settings, self.progress
        self.adapters = await make_adapters(settings, proxies, region=progress.region, stack=self.stack)
        self.reporting = make_reporting(
            settings, self.adapters, progress=progress, pulse=self.pulse, redactor=self.redactor
        )
        self.keeper = self._keeper()
        self.sources = TokenSources(
            issuer=self.adapters.issuer, web_identity=StsWebIdentity(self.adapters.aws),
            audience=settings.web_identity_audience or settings.oauth_token_url or "",
            keeper=self.keeper, redactor=self.redactor,
        )  # fmt: skip
        self.tokens = TokenKeeper(
            sources=self.sources, keeper=self.keeper, progress=progress, redactor=self.redactor,
            expired=settings.expired_tokens, random=random.random,
        )  # fmt: skip
        self.announcer = Announcer(
            signals=self.adapters.cloud, progress=progress, patience=self.patience, up_seconds=up_seconds,
            seconds_max=settings.stage_seconds("notify"), on_failure=settings.on_failure,
        )  # fmt: skip
        self.ending = Ending(
            engine=self.adapters.engine, machine=self.adapters.machine, load_balancers=self.adapters.cloud,
            announcer=self.announcer, reporter=self.reporting.reporter, delivery=self.reporting.delivery,
            progress=progress,
        )  # fmt: skip

    def services(self) -> dict[str, Service]:
        """Return the services, by name."""
        handover = self._handover()
        boot = self._booting().boot(handover, notifier=self.notifier, console=self.process.console)
        at_rest = AtRest(
            progress=self.progress, mappings=unwritten_mappings, give_back=give_back, resident_bytes=resident_bytes
        )
        return {
            "status": self.started.status, "boot": boot.run, "delivery": self.reporting.delivery.run,
            "supervision": handover.supervision.run, "credentials": self.keeper.run, "tokens": self.tokens.run,
            "health": handover.health.run, "notices": self._notices().run, "metrics": handover.metrics.run,
            "packages": self._packages().run,
            "watchdog": self.pulse.run, "memory": at_rest.run,
        }  # fmt: skip

    async def stopping(self) -> None:
        """Drain if the machine shuts down; otherwise leave the containers running, and deliver the outbox."""
        self.notifier.notify(stopping=True, status="stopping; the containers continue to run")
        if machine_is_stopping():
            await self.ending.drain("the machine shuts down")
        else:
            await self.reporting.delivery.flush(seconds_max=5.0)

    def _handover(self) -> Handover:
        settings, progress, pulse = self.settings, self.progress, self.pulse
        reporter, engine = self.reporting.reporter, self.adapters.engine
        supervision = Supervision(
            engine=engine, life=engine, progress=progress, reporter=reporter, pulse=pulse,
            watch_seconds=settings.watch_seconds, platform_containers=settings.platform_containers,
            on_end=self.ending.application_ended, on_failure=self.announcer.failed,
        )  # fmt: skip
        health = HealthWatch(
            probe=self.adapters.probe, progress=progress, reporter=reporter, pulse=pulse,
            address=probe_address(settings), seconds=settings.health_seconds,
        )  # fmt: skip
        metrics = HostMetrics(
            sink=self.adapters.cloud, progress=progress, seconds=settings.metrics_seconds, read=read_host
        )
        return Handover(settings=settings, supervision=supervision, health=health, metrics=metrics, ending=self.ending)

    def _notices(self) -> NoticeWatch:
        return NoticeWatch(
            metadata=self.adapters.metadata, ending=self.ending, progress=self.progress,
            reporter=self.reporting.reporter, pulse=self.pulse, seconds=self.settings.notice_seconds,
            drain_on_rebalance=self.settings.drain_on_rebalance, boot_again=lambda: signal.raise_signal(signal.SIGHUP),
        )  # fmt: skip

    def _packages(self) -> PackageWatch:
        return PackageWatch(
            packages=RootPackages(Path("/")), progress=self.progress, reporter=self.reporting.reporter,
            seconds=self.settings.packages_seconds,
        )  # fmt: skip

    def _keeper(self) -> CredentialKeeper:
        settings = self.settings
        keeper = CredentialKeeper(
            store=S3Objects(self.adapters.aws),
            generations=Generations(Path(settings.container_directory), link="credentials", group=self.gid),
            progress=self.progress,
            redactor=self.redactor,
            revocation=Revocation(
                after_polls=settings.credentials_revoked_after_polls, files=settings.credentials_revoked
            ),
            poll_seconds=settings.credentials_poll_seconds,
            random=random.random,
            on_change=self._credentials_changed,
        )
        self.stack.callback(keeper.close)
        return keeper

    def _credentials_changed(self) -> None:
        self.tokens.look()
        self.reporting.reporter.report_change()

    def _booting(self) -> BootParts:
        key, delivery = self.reporting.key, self.reporting.delivery
        pull_tokens = PullTokenClient(
            key=key, prover=self.adapters.prover, progress=self.progress,
            front_of=lambda registry: self.adapters.front_of(registry, lambda: key.id), enrol=delivery.enrol_over,
        )  # fmt: skip
        sign_in = SignIn(
            settings=self.settings, metadata=self.adapters.metadata, repositories=self.adapters.cloud,
            issuer=self.adapters.issuer, keeper=self.keeper, pull_tokens=pull_tokens, redactor=self.redactor,
            platform=self.platform_logins,
        )  # fmt: skip
        return BootParts(
            settings=self.settings, gid=self.gid, adapters=self.adapters, reporting=self.reporting,
            progress=self.progress, redactor=self.redactor, patience=self.patience, policies=self.policies,
            keeper=self.keeper, tokens=self.tokens, sources=self.sources, sign_in=sign_in, announcer=self.announcer,
        )  # fmt: skip
