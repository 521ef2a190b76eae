"""The only place that knows concrete classes: settings in, running services out."""

from __future__ import annotations

import grp
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.adapters.aws import AwsClients
from whence_agent.adapters.aws_cloud import AwsCloud
from whence_agent.adapters.aws_http import AwsSecrets, S3Objects, SignedHttp
from whence_agent.adapters.by_proxy import ByProxy
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.adapters.http_probe import HttpProbe
from whence_agent.adapters.identity_prover import IdentityProver
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.machine import MachineSocket
from whence_agent.adapters.oauth import OAuthIssuer
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.platform_files import logins_of, proxies_of, trust_policies
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads
from whence_agent.adapters.role import RoleKeys
from whence_agent.adapters.systemd import machine_is_stopping
from whence_agent.adapters.this_processor import this_processor
from whence_agent.boot.boot import Boot
from whence_agent.boot.bring_up import BringUp, probe_address
from whence_agent.boot.image import ImageResolver
from whence_agent.boot.run import Runner
from whence_agent.boot.secrets import SecretResolver
from whence_agent.boot.storage import VolumeAttacher
from whence_agent.boot.tries import FIRST_PAUSE_SECONDS, BootTries
from whence_agent.credentials.generations import Generations, discard
from whence_agent.credentials.keeper import CredentialKeeper, Revocation
from whence_agent.credentials.pull_tokens import PullTokenClient
from whence_agent.credentials.sign_in import SignIn
from whence_agent.credentials.tokens import TokenKeeper
from whence_agent.patience import Patience
from whence_agent.proxies import Proxies, passwords
from whence_agent.pulse import Pulse
from whence_agent.redaction import Redactor
from whence_agent.report.announcement import Announcer
from whence_agent.report.at_rest import AtRest
from whence_agent.report.delivery import Delivery
from whence_agent.report.heartbeat_counter import HeartbeatCounter
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.key_owner import KeyOwner
from whence_agent.report.outbox import Outbox
from whence_agent.report.receipts import Receipts, Trusted
from whence_agent.report.reporter import Reporter
from whence_agent.report.seen_logs import SeenLogs
from whence_agent.settings import Settings
from whence_agent.start import Started
from whence_agent.watch.draining import Ending
from whence_agent.watch.health import HealthWatch
from whence_agent.watch.metrics import HostMetrics, read_host
from whence_agent.watch.notices import NoticeWatch
from whence_agent.watch.supervision import Supervision
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.image_reference import registry_name
from whence_common.registry_address import RegistryPlace
from whence_common.runtime.files import remove_temporaries
from whence_common.runtime.lifecycle import Ended, Service, run_until_signal
from whence_common.runtime.memory import give_back, resident_bytes, unwritten_mappings
from whence_common.settings_file import SettingsInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What this process was given beside its settings."""

    notify_socket: str | None
    watchdog_seconds: float | None
    redactor: Redactor
    may_reload: Callable[[], bool]
    console: Callable[[str], None]
    proxies: Proxies
    """Those of the environment."""


async def run_agent(settings: Settings, process: Process, started: Started) -> Ended:
    """Run the agent until a signal ends it. Raises SettingsInvalid or OSError when it cannot start."""
    async with AsyncExitStack() as stack:
        agent = _Agent(settings, process, started, stack)
        await agent.connect()
        services, on_stopping = agent.assemble()
        return await run_until_signal(services, on_stopping=on_stopping, may_reload=process.may_reload)


class _Agent:
    """One wiring of everything; a reload makes another."""

    def __init__(self, settings: Settings, process: Process, started: Started, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.process = process
        self.started = started
        self.stack = stack
        self.gid = application_gid(settings)
        self.redactor = process.redactor
        self.proxies = proxies_of(settings, process.proxies)
        for password in passwords(self.proxies):
            self.redactor.learn(password)
        self.policies = trust_policies(settings)
        self.platform_logins = logins_of(settings.docker_config_file)
        self.state = _state_directory(settings)
        self.key = InstanceKey(self.state)
        self.notifier, self.progress = started.notifier, started.progress
        self.pulse = Pulse(monotonic=time.monotonic, notifier=self.notifier, watchdog_seconds=process.watchdog_seconds)
        self.outbox = Outbox(
            self.state / "outbox", statements_max=settings.outbox_statements_max, bytes_max=settings.outbox_bytes_max
        )
        self.owner = KeyOwner(
            key=self.key,
            outbox=self.outbox,
            progress=self.progress,
            forget=lambda: discard(Path(settings.container_directory), link="credentials"),
        )
        self.reporter = Reporter(key=self.key, outbox=self.outbox, progress=self.progress, redactor=self.redactor)
        self.backoff = Backoff(first_seconds=0.3, longest_seconds=10.0, random=random.random)
        self.patience = Patience(backoff=self.backoff)

    async def connect(self) -> None:
        """Make the adapters; none of them speaks to anybody yet."""
        settings = self.settings
        self.direct = await self.stack.enter_async_context(_session())
        self.session = self.direct
        if self.proxies:
            self.session = await self.stack.enter_async_context(_session(ByProxy(self.proxies)))
        self.metadata = ImdsMetadata(session=self.direct, url=settings.metadata_url)
        keys = RoleKeys(metadata=self.metadata, now=utc_now, up_seconds=_up_seconds)
        clients = AwsClients(
            keys=keys, endpoint_url=settings.aws_endpoint_url, region=self.progress.region, proxies=self.proxies
        )
        self.cloud = AwsCloud(clients, now=utc_now, up_seconds=_up_seconds)
        self.engine = DockerEngine(
            socket=settings.engine_socket, pull_stall_seconds_max=settings.pull_stall_seconds_max
        )
        self.stack.push_async_callback(self.engine.close)
        self.aws = SignedHttp(
            session=self.session, keys=keys, region=self.progress.region, endpoint_url=settings.aws_endpoint_url,
            now=utc_now, up_seconds=_up_seconds,
        )  # fmt: skip
        self.machine = MachineSocket(path=settings.machine_socket)
        self.probe = HttpProbe(session=self.direct)
        self.issuer = OAuthIssuer(session=self.session, url=settings.oauth_token_url)
        self.prover = IdentityProver(metadata=self.metadata, now=utc_now)
        self.places = {
            registry_name(host): RegistryPlace(
                registry=registry_name(host),
                plain_http=one.plain_http,
                token_hosts=frozenset(one.token_hosts),
                blob_hosts=frozenset(one.blob_hosts),
            )
            for host, one in settings.registries.items()
        }
        http = RegistryReads(
            session=self.session, direct=self.direct, proxy_for=self.proxies.url_for, places=self.places,
            lookup=system_lookup, now=utc_now,
        )  # fmt: skip
        self.registry = OciRegistry(http=http, processor=this_processor())

    def front_of(self, registry: str) -> HttpAggregator:
        """Make what speaks to a registry front; it serves a part of the aggregator's calls, and tokens."""
        place = self.places.get(registry_name(registry)) or RegistryPlace(registry=registry)
        return HttpAggregator(
            session=self.session, url=f"{place.origin}/v2/_whence", ca_file=None, key_id=lambda: self.key.id
        )

    def assemble(self) -> tuple[dict[str, Service], Callable[[], Awaitable[None]]]:
        """Make the services, and what happens before they are stopped."""
        settings, progress = self.settings, self.progress
        delivery, keeper = self._delivery(), self._keeper()
        tokens = TokenKeeper(
            issuer=self.issuer, keeper=keeper, progress=progress, redactor=self.redactor,
            expired=settings.expired_tokens, random=random.random,
        )  # fmt: skip
        announcer = Announcer(
            signals=self.cloud, progress=progress, patience=Patience(backoff=self.backoff), up_seconds=_up_seconds,
            seconds_max=settings.stage_seconds("notify"), on_failure=settings.on_failure,
        )  # fmt: skip
        ending = Ending(
            engine=self.engine, machine=self.machine, load_balancers=self.cloud, announcer=announcer,
            reporter=self.reporter, delivery=delivery, progress=progress,
        )  # fmt: skip
        supervision = Supervision(
            engine=self.engine, life=self.engine, progress=progress, reporter=self.reporter, pulse=self.pulse,
            watch_seconds=settings.watch_seconds, platform_containers=settings.platform_containers,
            on_end=ending.application_ended, on_failure=announcer.failed,
        )  # fmt: skip
        health = HealthWatch(
            probe=self.probe, progress=progress, reporter=self.reporter, pulse=self.pulse,
            address=probe_address(settings), seconds=settings.health_seconds,
        )  # fmt: skip
        notices = NoticeWatch(
            metadata=self.metadata, ending=ending, progress=progress, reporter=self.reporter, pulse=self.pulse,
            seconds=settings.notice_seconds, drain_on_rebalance=settings.drain_on_rebalance,
            again=lambda: signal.raise_signal(signal.SIGHUP),
        )  # fmt: skip
        metrics = HostMetrics(sink=self.cloud, progress=progress, seconds=settings.metrics_seconds, read=read_host)
        pull_tokens = PullTokenClient(
            key=self.key, prover=self.prover, progress=progress, front_of=self.front_of, enrol=delivery.enrol_over
        )
        sign_in = SignIn(
            settings=settings, metadata=self.metadata, repositories=self.cloud, issuer=self.issuer, keeper=keeper,
            pull_tokens=pull_tokens, redactor=self.redactor, platform=self.platform_logins,
        )  # fmt: skip
        bring_up = self._bring_up(keeper, tokens, supervision, health, metrics, ending, sign_in)
        boot = Boot(
            settings=settings, metadata=self.metadata, notifier=self.notifier, bring_up=bring_up, progress=progress,
            reporter=self.reporter, delivery=delivery, announcer=announcer, redactor=self.redactor, key=self.key,
            owner=self.owner, tries=_boot_tries(settings), console=self.process.console,
        )  # fmt: skip
        at_rest = AtRest(
            progress=progress, mappings=unwritten_mappings, give_back=give_back, resident_bytes=resident_bytes
        )
        services: dict[str, Service] = {
            "status": self.started.status, "boot": boot.run, "delivery": delivery.run, "supervision": supervision.run,
            "credentials": keeper.run, "tokens": tokens.run, "health": health.run, "notices": notices.run,
            "metrics": metrics.run, "watchdog": self.pulse.run, "memory": at_rest.run,
        }  # fmt: skip

        async def on_stopping() -> None:
            self.notifier.notify(stopping=True, status="stopping; the containers go on")
            if machine_is_stopping():
                await ending.drain("the machine shuts down")
            else:
                await delivery.flush(seconds_max=5.0)

        return services, on_stopping

    def _delivery(self) -> Delivery:
        settings = self.settings
        receipts = Receipts(
            key=self.key,
            trusted=Trusted.of(settings),
            seen=SeenLogs(self.state / "log-seen.json"),
            progress=self.progress,
        )
        return Delivery(
            aggregator=HttpAggregator(
                session=self.session,
                url=settings.aggregator_url,
                ca_file=settings.aggregator_ca_file,
                log_size=lambda: receipts.seen_size,
                key_id=lambda: self.key.id,
            ),
            prover=self.prover,
            receipts=receipts,
            key=self.key,
            counter=HeartbeatCounter(self.key),
            owner=self.owner,
            outbox=self.outbox,
            reporter=self.reporter,
            progress=self.progress,
            pulse=self.pulse,
            heartbeat_seconds=settings.heartbeat_seconds,
            pause_seconds_max=settings.delivery_pause_seconds_max,
            random=random.random,
        )

    def _keeper(self) -> CredentialKeeper:
        settings = self.settings
        keeper = CredentialKeeper(
            store=S3Objects(self.aws),
            generations=Generations(Path(settings.container_directory), link="credentials", group=self.gid),
            progress=self.progress,
            redactor=self.redactor,
            revocation=Revocation(
                after_polls=settings.credentials_revoked_after_polls, files=settings.credentials_revoked
            ),
            poll_seconds=settings.credentials_poll_seconds,
            random=random.random,
        )
        self.stack.callback(keeper.close)
        return keeper

    def _bring_up(
        self,
        keeper: CredentialKeeper,
        tokens: TokenKeeper,
        supervision: Supervision,
        health: HealthWatch,
        metrics: HostMetrics,
        ending: Ending,
        sign_in: SignIn,
    ) -> BringUp:
        rules = self.settings.platform_rules()
        runner = Runner(
            settings=self.settings, gid=self.gid, progress=self.progress, engine=self.engine, containers=self.engine,
            patience=self.patience,
        )  # fmt: skip
        return BringUp(
            settings=self.settings,
            gid=self.gid,
            progress=self.progress,
            engine=self.engine,
            containers=self.engine,
            machine=self.machine,
            volumes=self.cloud,
            load_balancers=self.cloud,
            probe=self.probe,
            sign_in=sign_in,
            secrets=SecretResolver(secrets=AwsSecrets(self.aws), redactor=self.redactor, patience=self.patience),
            images=ImageResolver(
                registry=self.registry, repositories=self.cloud, policies=self.policies, rules=rules,
                backoff=self.backoff,
            ),
            attacher=VolumeAttacher(
                volumes=self.cloud, metadata=self.metadata, progress=self.progress, patience=self.patience
            ),
            keeper=keeper,
            tokens=tokens,
            supervision=supervision,
            health=health,
            metrics=metrics,
            ending=ending,
            runner=runner,
            patience=self.patience,
        )  # fmt: skip


def _session(*middlewares: ByProxy) -> aiohttp.ClientSession:
    """Make a session. It never reads the environment: that would bring ~/.netrc along."""
    return aiohttp.ClientSession(trust_env=False, auto_decompress=False, middlewares=middlewares)


def _up_seconds() -> float:
    """Return for how long this machine is up, whatever its clock says."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def application_gid(settings: Settings) -> int:
    """Give the gid of the application's group. Raises SettingsInvalid when the machine has no such group."""
    if settings.application_gid is not None:
        return settings.application_gid
    try:
        return grp.getgrnam(settings.application_group).gr_gid
    except KeyError as exc:
        fix = "make the group (the package does it by systemd-sysusers), or set application_gid"
        message = f"application_group: there is no group {settings.application_group!r} on this machine"
        raise SettingsInvalid("settings-invalid", message, fix=fix) from exc


def _state_directory(settings: Settings) -> Path:
    state = Path(settings.state_directory)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_temporaries(state)
    return state


def _boot_tries(settings: Settings) -> BootTries:
    longest = settings.retry_pause_seconds_max
    first = min(FIRST_PAUSE_SECONDS, longest)
    return BootTries(backoff=Backoff(first_seconds=first, longest_seconds=longest, random=random.random))
