"""What stands around the agent's services: an engine, an account, a helper, an issuer, in memory and honest about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from fakes.clocks import FakeClock
from fakes.signing_authority import identity_document
from whence_agent.machine.protocol import MachineFailed, Request
from whence_agent.ports import (
    AccessToken,
    ContainerSpec,
    ContainerState,
    EngineEvent,
    EngineFailed,
    Notices,
    PullProgress,
    SecretUnavailable,
)
from whence_agent.ports_cloud import CloudRefused
from whence_agent.ports_engine import HealthChecks, Remembered
from whence_agent.progress.progress import Progress
from whence_agent.pulse import Pulse
from whence_agent.redaction import Redactor
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.key_owner import KeyOwner
from whence_agent.report.outbox import Outbox
from whence_agent.report.receipts import Receipts, Trusted
from whence_agent.report.reporter import Reporter
from whence_agent.report.seen_logs import SeenLogs
from whence_common.clock import Now, to_instant
from whence_common.envelope import Envelope
from whence_common.identity_document import InstanceIdentity, read_unverified
from whence_common.image_provenance import ImageConfig
from whence_common.registry_sign_in import Login
from whence_common.statement import ContainerFacts, Predicate, Statement

DIGEST = "sha256:" + "d" * 64


def _nothing() -> None:
    """Have nothing happen."""


class FakeEngine:
    """Containers by name. `down` makes every call fail, as when the engine is away; `refuses` every start.

    It forgets what happened when it goes down, as Docker's does.
    """

    def __init__(self) -> None:
        self.containers: dict[str, ContainerState] = {}
        self.calls: list[str] = []
        self.down = False
        self.going_down = False
        """Answers on open connections, and takes no new ones."""
        self.live_restore = False
        self.refuses = ""
        self.seconds = 1_795_000_000.0
        """The engine's clock; each event takes a second."""
        self.memory: list[EngineEvent] = []
        self.followed_since: list[float] = []
        self.queue: asyncio.Queue[EngineEvent] = asyncio.Queue()
        self.meanwhile: dict[str, Callable[[], None]] = {}
        """What happens once while a question is answered: by a container's name, or `running`."""

    def add(self, name: str, *, digest: str = DIGEST, state: str = "running", exit_code: int | None = None) -> None:
        facts = ContainerFacts(
            name=name, container_id=f"{name}-1", image_digest=digest, state=state, exit_code=exit_code,
            started_at=self._tick(),
        )  # fmt: skip
        self.containers[name] = ContainerState(facts=facts, configuration={"Image": "c0"})

    def change(
        self,
        name: str,
        *,
        configuration: Mapping[str, str] | None = None,
        checks: HealthChecks | None = None,
        **facts: object,
    ) -> None:
        old = self.containers[name]
        self.containers[name] = replace(
            old,
            facts=msgspec.structs.replace(old.facts, **facts),
            configuration=configuration or old.configuration,
            checks=checks or old.checks,
        )

    def end(self, name: str, exit_code: int, *, killed: bool = False) -> None:
        """Have a container end: by itself, or by a signal that the engine or somebody had sent to it."""
        if killed:
            self._happened("kill", name)
        self.change(name, state="exited", exit_code=exit_code)
        self._happened("die", name)

    def go_down(self, *, crash: bool = False, exit_code: int = 143) -> None:
        """Go down in order, which stops what runs unless it may stay up, or crash."""
        if not crash and not self.live_restore:
            for name in self._running():
                self.end(name, exit_code, killed=True)
        self.memory.clear()
        self.down, self.going_down = True, False

    def come_up(self, *, exit_code: int = 137) -> None:
        """Come up, and stop what a crash left running, unless it may stay up. That is remembered, and told nobody."""
        self.down = False
        told, self.queue = self.queue, asyncio.Queue()
        for name in () if self.live_restore else self._running():
            self.end(name, exit_code, killed=True)
        self.queue = told

    async def inspect(self, name: str) -> ContainerState | None:
        self._check()
        self.meanwhile.pop(name, _nothing)()
        return self.containers.get(name)

    async def start(self, name: str) -> None:
        self._check()
        self.calls.append(f"start {name}")
        self._run(name)

    async def restart(self, name: str) -> None:
        self._check()
        self.calls.append(f"restart {name}")
        self._run(name)

    async def stop(self, name: str, *, seconds_max: int = 10, remove: bool = True) -> None:
        self._check()
        self.calls.append(f"stop {name} {seconds_max}")
        if name in self.containers:
            self.end(name, 143, killed=True)
            if remove:
                del self.containers[name]

    async def running(self) -> list[EngineEvent]:
        self._check()
        self.meanwhile.pop("running", _nothing)()
        return [
            EngineEvent(action="start", container_id=one.facts.container_id, name=name, image=one.facts.image_digest)
            for name, one in self.containers.items()
            if one.facts.state == "running"
        ]

    async def events(self, *, since: float = 0.0) -> AsyncIterator[EngineEvent]:
        self.followed_since.append(since)
        while True:
            yield await self.queue.get()

    async def ping(self) -> None:
        self._check()
        if self.going_down:
            raise EngineFailed("engine-unreachable", "the Docker Engine does not answer")

    async def remembered(self, container_id: str, *, since: float, until: float) -> Remembered:
        self._check()
        actions = {one.action for one in self.memory if one.container_id == container_id and one.at >= since}
        died = "die" in actions
        return Remembered(died=died, killed=died and "kill" in actions, live_restore=self.live_restore)

    async def pull(
        self, repository: str, digest: str, login: Login | None, *, on_progress: Callable[[PullProgress], None]
    ) -> str:
        raise EngineFailed("engine-pull", "this fake pulls nothing")

    async def config(self, image: str) -> ImageConfig:
        return ImageConfig()

    async def read_file(self, image: str, path: str, bytes_max: int) -> bytes | None:
        return None

    async def run(self, spec: ContainerSpec) -> ContainerFacts:
        self._check()
        if spec.name not in self.containers or self.containers[spec.name].facts.state != "running":
            self.add(spec.name, digest=spec.image.rpartition("@")[2])
            self._happened("start", spec.name)
        return self.containers[spec.name].facts

    def _run(self, name: str) -> None:
        if self.refuses:
            self.change(name, state="exited", exit_code=128)
            raise EngineFailed("engine-refused", f"the Docker Engine refused: {self.refuses}")
        self.change(name, state="running", exit_code=None, started_at=self._tick())
        self._happened("start", name)

    def _running(self) -> list[str]:
        return [name for name, one in self.containers.items() if one.facts.state == "running"]

    def _tick(self) -> str:
        self.seconds += 1
        return to_instant(datetime.fromtimestamp(self.seconds, UTC))

    def _happened(self, action: str, name: str) -> None:
        self.seconds += 1
        event = EngineEvent(action=action, container_id=f"{name}-1", name=name, image="", at=self.seconds)
        self.memory.append(event)
        self.queue.put_nowait(event)

    def _check(self) -> None:
        if self.down:
            raise EngineFailed("engine-unreachable", "the Docker Engine does not answer")


@dataclass
class FakeAccount:
    """Signals and load balancers. `fail_with` makes the next calls errors, first to last."""

    told: list[str] = field(default_factory=list)
    fail_with: list[CloudRefused] = field(default_factory=list)

    async def stack(self, stack: str, resource: str, *, unique_id: str, success: bool) -> None:
        self._tell(f"stack {stack} {resource} {unique_id} {'SUCCESS' if success else 'FAILURE'}")

    async def lifecycle(self, group: str, hook: str, *, instance_id: str, proceed: bool) -> None:
        self._tell(f"hook {group} {hook} {'CONTINUE' if proceed else 'ABANDON'}")

    async def unhealthy(self, instance_id: str) -> None:
        self._tell(f"unhealthy {instance_id}")

    async def terminate(self, instance_id: str) -> None:
        self._tell(f"terminate {instance_id}")

    async def in_service(self, kind: Literal["classic", "target-group"], name: str, *, instance_id: str) -> str:
        return ""

    async def deregister(self, kind: Literal["classic", "target-group"], name: str, *, instance_id: str) -> None:
        self._tell(f"deregister {kind} {name}")

    def _tell(self, what: str) -> None:
        if self.fail_with:
            raise self.fail_with.pop(0)
        self.told.append(what)


@dataclass
class FakeMachine:
    asked: list[Request] = field(default_factory=list)
    fails: bool = False

    async def prepare(self, request: Request) -> list[str]:
        if self.fails:
            raise MachineFailed("machine-helper-away", "the helper does not answer")
        self.asked.append(request)
        return []


@dataclass
class FakeIssuer:
    """Gives tokens that count up. `fail_with` makes the next answers errors."""

    expires_seconds: float = 3600.0
    given: int = 0
    fail_with: list[SecretUnavailable] = field(default_factory=list)
    exchanged: list[tuple[str, str]] = field(default_factory=list)
    """Subject tokens and clients."""

    async def password_grant(self, user: Mapping[str, str], client: Mapping[str, str]) -> AccessToken:
        return await self.client_credentials(client, ("uid",))

    async def client_credentials(self, client: Mapping[str, str], scopes: tuple[str, ...]) -> AccessToken:
        if self.fail_with:
            raise self.fail_with.pop(0)
        self.given += 1
        return AccessToken(token=f"token-{'-'.join(scopes)}-{self.given}", expires_seconds=self.expires_seconds)

    async def exchange(self, subject_token: str, *, client_id: str, scopes: tuple[str, ...]) -> AccessToken:
        self.exchanged.append((subject_token, client_id))
        return await self.client_credentials({}, scopes)


@dataclass
class FakeWebIdentity:
    """Signs tokens as STS does. `fail_with` makes the next answers errors."""

    audiences: list[str] = field(default_factory=list)
    fail_with: list[SecretUnavailable] = field(default_factory=list)

    async def token(self, audience: str) -> str:
        self.audiences.append(audience)
        if self.fail_with:
            raise self.fail_with.pop(0)
        return f"jwt-of-the-role-{len(self.audiences)}"


@dataclass
class FakeNotifier:
    told: list[str] = field(default_factory=list)

    def notify(
        self, *, ready: bool = False, stopping: bool = False, alive: bool = False, status: str | None = None
    ) -> None:
        self.told += [name for name, said in (("ready", ready), ("stopping", stopping), ("alive", alive)) if said]
        self.told += [status] if status else []


@dataclass
class FakeNotices:
    """The metadata service as far as notices go."""

    found: Notices = field(default_factory=Notices)

    async def notices(self) -> Notices:
        return self.found


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """One booted machine's progress, reporter and pulse, on disk in a test's folder."""

    def __init__(
        self, directory: Path, *, now: Now | None = None, monotonic: Callable[[], float] | None = None
    ) -> None:
        self.directory = directory
        self.ticks = Ticks()
        self.redactor = Redactor()
        self.notifier = FakeNotifier()
        self.engine = FakeEngine()
        self.account = FakeAccount()
        self.machine = FakeMachine()
        self.progress = Progress(now=now or FakeClock(), monotonic=monotonic or self.ticks, boot_id="b", started_at="")
        self.identity: InstanceIdentity = read_unverified(identity_document("i-0123456789abcdef0"))
        self.identify(self.identity)
        self.pulse = Pulse(monotonic=self.ticks, notifier=self.notifier, watchdog_seconds=90.0)
        self.outbox = Outbox(directory / "outbox", statements_max=100, bytes_max=10_000_000)
        self.key = InstanceKey(directory)
        self.owner = KeyOwner(key=self.key, outbox=self.outbox, progress=self.progress)
        self.reporter = Reporter(key=self.key, outbox=self.outbox, progress=self.progress, redactor=self.redactor)

    def identify(self, identity: InstanceIdentity, blob: str = "") -> None:
        """Have the machine know who it is, as after the stage identity."""
        boot = self.progress.boot
        boot.record_observed(replace(boot.observed, identity=identity, identity_blob=blob))

    def receipts(self, trusted: Trusted = Trusted()) -> Receipts:  # noqa: B008 - a frozen value
        """Give what checks receipts, over what this machine has seen of logs."""
        return Receipts(key=self.key, trusted=trusted, seen=SeenLogs(self.directory / "log-seen.json"),
                        progress=self.progress)  # fmt: skip

    def statements(self) -> list[Predicate]:
        """Give what was stated, oldest first, and forget it."""
        said = []
        while (waiting := self.outbox.oldest()) is not None:
            envelope = Envelope.parse(waiting.envelope)
            said.append(Statement.from_wire(envelope.verify(self.key.private.public_key())).predicate)
            self.outbox.remove(waiting.sequence)
        return said

    def causes(self) -> list[str]:
        return [predicate.cause for predicate in self.statements()]
