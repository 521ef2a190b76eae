"""The only place that knows concrete classes: settings in, running services out."""

from __future__ import annotations

import grp
import random
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.adapters.aws import AwsClients, KmsDecrypter, S3Objects
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.adapters.http_probe import HttpProbe
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.registry import OciRegistry
from whence_agent.adapters.systemd import SystemdNotifier
from whence_agent.boot import Boot, Outside
from whence_agent.credentials import CredentialKeeper
from whence_agent.delivery import Delivery
from whence_agent.files import remove_temporaries
from whence_agent.http.status_app import StatusEndpoint
from whence_agent.instance_key import InstanceKey
from whence_agent.outbox import Outbox
from whence_agent.progress import Progress
from whence_agent.reporter import Reporter
from whence_agent.settings import Settings
from whence_agent.supervision import Supervision
from whence_common.backoff import Backoff
from whence_common.clock import to_instant, utc_now
from whence_common.lifecycle import run_until_signal
from whence_common.settings_file import SettingsInvalid

_KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


async def run_agent(settings: Settings, *, notify_socket: str | None) -> None:
    """Run the agent until a signal ends it. Raises SettingsInvalid or OSError when it cannot start."""
    gid = application_gid(settings)
    state = _state_directory(settings)
    key = InstanceKey(state)
    progress = Progress(now=utc_now, monotonic=time.monotonic, boot_id=_boot_id(), started_at=to_instant(utc_now()))
    outbox = Outbox(
        state / "outbox", statements_max=settings.outbox_statements_max, bytes_max=settings.outbox_bytes_max
    )
    reporter = Reporter(key=key, outbox=outbox, progress=progress)
    notifier = SystemdNotifier(address=notify_socket)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False, auto_decompress=False))
        aws = AwsClients(
            endpoint_url=settings.aws_endpoint_url, metadata_url=settings.metadata_url, region=progress.region
        )
        stack.push_async_callback(aws.close)
        engine = DockerEngine(socket=settings.engine_socket)
        stack.push_async_callback(engine.close)
        delivery = _delivery(settings, session, key=key, outbox=outbox, reporter=reporter, progress=progress)
        keeper = _keeper(settings, aws, gid=gid, progress=progress)
        boot = Boot(
            settings=settings,
            gid=gid,
            outside=_outside(settings, session, aws=aws, engine=engine, notifier=notifier),
            progress=progress,
            reporter=reporter,
            keeper=keeper,
            delivery=delivery,
            key=key,
            backoff=Backoff(first_seconds=0.3, longest_seconds=10.0, random=random.random),
        )
        supervision = Supervision(
            engine=engine,
            progress=progress,
            reporter=reporter,
            name=settings.container_name,
            watch_seconds=settings.watch_seconds,
        )
        endpoint = StatusEndpoint(progress=progress, address=settings.status_address, port=settings.status_port)
        await run_until_signal(
            {
                "status": endpoint.run,
                "boot": boot.run,
                "delivery": delivery.run,
                "supervision": supervision.run,
                "credentials": keeper.run,
            },
            on_stopping=lambda: notifier.notify(stopping=True, status="stopping; the container goes on"),
        )


def _delivery(
    settings: Settings,
    session: aiohttp.ClientSession,
    *,
    key: InstanceKey,
    outbox: Outbox,
    reporter: Reporter,
    progress: Progress,
) -> Delivery:
    return Delivery(
        aggregator=HttpAggregator(session=session, url=settings.aggregator_url, ca_file=settings.aggregator_ca_file),
        key=key,
        outbox=outbox,
        reporter=reporter,
        progress=progress,
        heartbeat_seconds=settings.heartbeat_seconds,
        pause_seconds_max=settings.delivery_pause_seconds_max,
        random=random.random,
    )


def _keeper(settings: Settings, aws: AwsClients, *, gid: int, progress: Progress) -> CredentialKeeper:
    return CredentialKeeper(
        store=S3Objects(aws),
        directory=Path(settings.container_directory),
        group=gid,
        progress=progress,
        poll_seconds=settings.credentials_poll_seconds,
        random=random.random,
    )


def _outside(
    settings: Settings,
    session: aiohttp.ClientSession,
    *,
    aws: AwsClients,
    engine: DockerEngine,
    notifier: SystemdNotifier,
) -> Outside:
    plain_http = frozenset(host for host, registry in settings.registries.items() if registry.plain_http)
    return Outside(
        metadata=ImdsMetadata(session=session, url=settings.metadata_url),
        registry=OciRegistry(session=session, plain_http=plain_http),
        engine=engine,
        decrypter=KmsDecrypter(aws),
        probe=HttpProbe(session=session),
        notifier=notifier,
    )


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


def _boot_id() -> str:
    try:
        return _KERNEL_BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())
