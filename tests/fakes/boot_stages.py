"""A boot whose stages observe what a test wants, in the order of the table, on an engine in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from fakes.agent_world import DIGEST, World
from whence_agent.boot.bring_up import BringUp
from whence_agent.boot.container import PulledImage
from whence_agent.boot.identity import Identified
from whence_agent.boot.image import ResolvedImages, WantedImage
from whence_agent.boot.pull import Pulled
from whence_agent.boot.run import RunningContainers
from whence_agent.boot.secrets import Resolved
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged
from whence_agent.ports import ResolvedImage
from whence_agent.settings import parse_settings
from whence_agent.stage_table import STAGES
from whence_common.registry_sign_in import Login
from whence_common.statement import ApplicationFacts, ContainerFacts, ImageFacts, ScmSourceFacts, UserDataFacts
from whence_common.user_data.judge import UserData, judge
from whence_common.user_data.platform import PlatformRules

APP = "taupageapp"
USER_DATA = b"""#taupage-ami-config
application_id: greeter
application_version: "1.0"
runtime: Docker
source: registry.example.org/team/greeter:1.0
health_check_path: /health
ports: {8080: 8080}
health_check_timeout_seconds: 45
"""
Work = Callable[[ObservedSoFar, StageHandle], Awaitable[Observation]]


def user_data(more: bytes = b"") -> UserData:
    judgement = judge(USER_DATA + more, PlatformRules(immutable=frozenset({"registry.example.org"})))
    assert judgement.user_data is not None, judgement.problems
    return judgement.user_data


@dataclass(kw_only=True)
class FakeStage:
    """Observes `found`, or does `work`; `saw` is what it was given."""

    name: str
    found: Observation = field(default_factory=Observation)
    wanted: bool = True
    work: Work | None = None
    saw: list[ObservedSoFar] = field(default_factory=list)

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return self.wanted

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        self.saw.append(so_far)
        return self.found if self.work is None else await self.work(so_far, handle)


async def no_login() -> Login | None:
    return None


class FakeStages:
    """One stage for each row of the table, and those that ran, in their order."""

    def __init__(self, world: World, asked: UserData, **stage_seconds_max: float) -> None:
        self.asked = asked
        self.settings = msgspec.structs.replace(
            parse_settings(b"aggregator_url: https://whence.example.org\n", name="agent.yaml"),
            stage_seconds_max={name.replace("_", "-"): seconds for name, seconds in stage_seconds_max.items()},
        )
        facts = ImageFacts(
            source=str(asked.source), repository=asked.source.repository, digest=DIGEST, index_digest=None
        )
        container = ContainerFacts(
            name=APP, container_id="c1", image_digest=DIGEST, state="running", exit_code=None, started_at=""
        )
        found = {
            "identity": Identified(identity=world.identity, signature="blob", user_data=USER_DATA),
            "user-data": Judged(
                facts=UserDataFacts(digest=asked.digest, document=None),
                problems=(),
                quotes={},
                user_data=asked,
                application=ApplicationFacts(id="greeter", version="1.0"),
            ),
            "secrets": Resolved(environment={}, sidecars={}, sign_in={}),
            "image": ResolvedImages(
                main=WantedImage(
                    reference=asked.source,
                    facts=facts,
                    resolved=ResolvedImage(digest=DIGEST, index_digest=None),
                    sign_in=no_login,
                )
            ),
            "pull": Pulled(
                source=ScmSourceFacts(status="missing"), main=PulledImage(facts=facts, image_id="i1"), others={}
            ),
            "run": RunningContainers(application=container),
        }
        self.ran: list[str] = []
        self.by_name = {row.name: FakeStage(name=row.name, found=found.get(row.name, Observation())) for row in STAGES}
        world.progress.boot.on_stage = self.ran.append
        self.bring_up = BringUp(settings=self.settings, progress=world.progress, stages=list(self.by_name.values()))

    def __getitem__(self, name: str) -> FakeStage:
        return self.by_name[name]

    def fails(self, name: str, *errors: Exception) -> None:
        """Have a stage fail with each of these, and then do as it would."""
        left = list(errors)

        async def work(_: ObservedSoFar, __: StageHandle) -> Observation:
            if left:
                raise left.pop(0)
            return self.by_name[name].found

        self.by_name[name].work = work

    def hangs(self, name: str) -> None:
        """Have a stage wait for ever."""

        async def work(_: ObservedSoFar, __: StageHandle) -> Observation:
            await asyncio.Event().wait()
            return Observation()

        self.by_name[name].work = work
