"""Retries of pulls: transient errors are retried, permanent errors and expired logins are handled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fakes.agent_world import DIGEST, FakeEngine, Ticks, World
from whence_agent.boot.image import ImageResolver
from whence_agent.boot.pull import ImagePull
from whence_agent.patience import Patience
from whence_agent.ports import EngineFailed, PullProgress, RegistryRefused, ResolvedImage
from whence_agent.progress.stage import StageFailed, StageProgress
from whence_agent.status.document import status_document
from whence_common.backoff import Backoff
from whence_common.image_evidence import ImageEvidence
from whence_common.image_reference import ImageReference
from whence_common.registry_sign_in import Login
from whence_common.statement import ImageFacts
from whence_common.user_data.platform import PlatformRules

IMAGE = ImageFacts(source="r.example.org/a/b:1", repository="r.example.org/a/b", digest=DIGEST)
UNAUTHORISED = EngineFailed("engine-unauthorised", "unauthorized: authentication required", retryable=False)
NO_PAUSE = Backoff(first_seconds=0.0, longest_seconds=0.0, random=lambda: 0.0)


class FailingEngine(FakeEngine):
    """Raises the given errors in order, then pulls. `shown` are the tokens that it received.

    Each pull takes `seconds` of the clock and keeps as many layers as `kept` says, the last one again and again.
    """

    def __init__(self, *failures: EngineFailed | str, seconds: float = 0.0, kept: tuple[int, ...] = (0,)) -> None:
        super().__init__()
        self.failures = [EngineFailed(one, "the pull failed") if isinstance(one, str) else one for one in failures]
        self.kept = list(kept)
        self.seconds = seconds
        self.clock = Ticks()
        self.pulled = 0
        self.shown: list[str] = []
        self.reads_that_fail = 0
        self.hangs = False

    async def pull(
        self, repository: str, digest: str, login: Login | None, *, on_progress: Callable[[PullProgress], None]
    ) -> str:
        self.pulled += 1
        self.shown.append(login.registry_token if login is not None else "")
        self.clock.now += self.seconds
        kept = self.kept.pop(0) if len(self.kept) > 1 else self.kept[0]
        on_progress(PullProgress(layers=7, layers_fetched=kept, layers_kept=kept, bytes_fetched=2, bytes_total=4))
        if self.failures:
            raise self.failures.pop(0)
        if self.hangs:
            await asyncio.Event().wait()
        return "id"

    async def read_file(self, image: str, path: str, bytes_max: int) -> bytes | None:
        if self.reads_that_fail:
            self.reads_that_fail -= 1
            raise EngineFailed("engine-unreachable", "the Docker Engine does not answer")
        return None


def pull_of(
    engine: FailingEngine,
    again: Callable[[], Awaitable[Login | None]],
    *,
    login: Login | None = None,
    stage: StageProgress | None = None,
) -> ImagePull:
    return ImagePull(
        engine=engine, patience=Patience(backoff=NO_PAUSE), monotonic=engine.clock,
        stage=stage or StageProgress(name="pull"), image=IMAGE, login=login, again=again,
    )  # fmt: skip


class Tokens:
    """Returns another token each time; raises the given errors in order."""

    def __init__(self, *refusals: RegistryRefused, seconds: float | None = None) -> None:
        self.refusals = list(refusals)
        self.seconds = seconds
        self.given = 0

    async def __call__(self) -> Login:
        if self.refusals:
            raise self.refusals.pop(0)
        self.given += 1
        return Login(registry_token=f"token {self.given}", seconds=self.seconds)


class Manifests:
    """A registry that has the image. `asked` are the requested digests and the logins sent with them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []

    async def resolve(self, reference: ImageReference, login: Login | None) -> ResolvedImage:
        assert login is not None
        self.asked.append((reference.digest, login.registry_token))
        return ResolvedImage(digest=DIGEST, index_digest=None, login=login)

    async def evidence(self, reference: ImageReference, digest: str, login: Login | None) -> ImageEvidence:
        return ImageEvidence()


class NoTags:
    async def tags_move(self, reference: ImageReference) -> str:
        return ""

    async def sign_in(self, registry: str) -> tuple[str, str]:
        return "", ""


def resolver(registry: Manifests) -> ImageResolver:
    rules = PlatformRules(immutable=frozenset({"r.example.org"}))
    return ImageResolver(registry=registry, repositories=NoTags(), policies={}, rules=rules, backoff=NO_PAUSE)


def away(*, later: float | None = 0.0) -> RegistryRefused:
    return RegistryRefused("storage-unavailable", "the database does not answer", retry_after_seconds=later)


async def test_a_broken_pull_is_tried_again() -> None:
    engine = FailingEngine("engine-pull", "engine-unreachable")
    image_id, scm_source = await pull_of(engine, Tokens()).run()
    assert (image_id, scm_source.status, engine.pulled) == ("id", "missing", 3)


async def test_a_pull_that_fails_fifty_times_is_tried_until_it_succeeds() -> None:
    engine, stage = FailingEngine(*["engine-pull"] * 50), StageProgress(name="pull", outcome="running")
    await pull_of(engine, Tokens(), stage=stage).run()
    assert (engine.pulled, stage.reason, stage.doing) == (51, "", "")


async def test_a_permanent_error_ends_the_pull_with_the_first_try() -> None:
    unknown = EngineFailed("image-unknown", "manifest unknown", retryable=False)
    engine = FailingEngine(unknown, "engine-pull")
    with pytest.raises(EngineFailed):
        await pull_of(engine, Tokens()).run()
    assert engine.pulled == 1


async def test_an_engine_that_is_unreachable_after_the_pull_is_retried_without_a_second_pull() -> None:
    engine = FailingEngine()
    engine.reads_that_fail = 3
    image_id, _ = await pull_of(engine, Tokens()).run()
    assert (image_id, engine.pulled) == ("id", 1)


async def test_each_try_uses_a_new_token() -> None:
    """The first login may have expired while disks were prepared."""
    engine = FailingEngine("engine-pull", "engine-pull")
    await pull_of(engine, Tokens(), login=Login(registry_token="first")).run()
    assert engine.shown == ["first", "token 1", "token 2"]


async def test_a_login_that_expired_before_the_pull_is_renewed_at_once() -> None:
    engine, stage = FailingEngine(UNAUTHORISED), StageProgress(name="pull")
    await pull_of(engine, Tokens(), login=Login(registry_token="first"), stage=stage).run()
    assert (engine.shown, stage.waiting_for) == (["first", "token 1"], "")


async def test_expired_logins_are_retried_with_pauses_if_the_engine_stores_no_layers() -> None:
    """A token is valid for 300 seconds; Docker's older store discards the layers of a failed pull."""
    engine, stage = FailingEngine(*[UNAUTHORISED] * 9, seconds=310.0, kept=(3,)), StageProgress(name="pull")
    reasons: list[str] = []
    tokens = Tokens(seconds=300.0)

    async def again() -> Login:
        reasons.append(stage.reason)
        return await tokens()

    await pull_of(engine, again, stage=stage).run()
    assert engine.pulled == 10
    assert "the login expired after 310 seconds, before the pull was complete" in reasons[-1]


async def test_an_expired_login_is_renewed_while_each_try_stores_more_layers() -> None:
    engine = FailingEngine(*[UNAUTHORISED] * 4, kept=(0, 1, 3, 5, 7))
    await pull_of(engine, Tokens(seconds=300.0)).run()
    assert engine.pulled == 5


async def test_a_new_login_that_is_refused_at_once_ends_the_pull() -> None:
    engine = FailingEngine(*[UNAUTHORISED] * 9, seconds=2.0, kept=(2,))
    with pytest.raises(EngineFailed) as caught:
        await pull_of(engine, Tokens(seconds=300.0)).run()
    assert (caught.value.code, engine.pulled) == ("engine-unauthorised", 2)


async def test_status_and_deadline_message_state_the_progress_of_a_pull(tmp_path: Path) -> None:
    world, engine = World(tmp_path), FailingEngine(kept=(3,))
    waiting = asyncio.Event()

    async def endless(image: str, path: str, bytes_max: int) -> bytes | None:
        waiting.set()
        await asyncio.Event().wait()
        return None

    engine.read_file = endless  # type: ignore[method-assign]  # a fake's own method

    async def staged() -> None:
        async with world.progress.boot.stage("pull", seconds_max=0.2) as stage:
            await pull_of(engine, Tokens(), stage=stage).run()

    pulling = asyncio.create_task(staged())
    await waiting.wait()
    assert status_document(world.progress)["reasons"][0].endswith(": 3 of 7 layers, 0 of 0 MB")
    with pytest.raises(StageFailed) as caught:
        await pulling
    assert caught.value.problems[0].message == (
        "pull: not done within 0.2 seconds (3 of 7 layers, 0 of 0 MB): "
        "the Docker Engine's pull of r.example.org/a/b has not finished"
    )


async def test_a_failed_pull_is_retried_once_the_registry_answers_for_the_image() -> None:
    registry, stage = Manifests(), StageProgress(name="pull")
    tokens, reference = Tokens(*(away() for _ in range(40))), ImageReference.parse(IMAGE.source)
    engine = FailingEngine("engine-pull")

    async def again() -> Login | None:
        return await resolver(registry).sign_in_again(IMAGE, reference, tokens, stage)

    image_id, _ = await pull_of(engine, again, stage=stage).run()
    assert (image_id, engine.shown, registry.asked) == ("id", ["", "token 1"], [(DIGEST, "token 1")])
    assert stage.reason == "", "what was waited for is over"


async def test_the_deadline_of_a_pull_states_the_engines_reason_even_after_a_new_login(
    tmp_path: Path,
) -> None:
    world, registry, reference = World(tmp_path), Manifests(), ImageReference.parse(IMAGE.source)
    engine = FailingEngine("engine-pull-throttled")
    engine.hangs = True

    async def staged() -> None:
        async with world.progress.boot.stage("pull", seconds_max=0.2) as stage:

            async def again() -> Login | None:
                return await resolver(registry).sign_in_again(IMAGE, reference, Tokens(away()), stage)

            await pull_of(engine, again, stage=stage).run()

    with pytest.raises(StageFailed) as caught:
        await staged()
    assert caught.value.problems[0].code == "engine-pull-throttled"


async def test_a_registry_with_retry_after_is_retried_until_the_stage_ends() -> None:
    stage, reference = StageProgress(name="image"), ImageReference.parse(IMAGE.source)
    image, said = await resolver(Manifests()).resolve(reference, Tokens(*(away() for _ in range(40))), stage)
    assert (image.digest, said.login) == (DIGEST, Login(registry_token="token 1"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await resolver(Manifests()).resolve(reference, Endless(), stage)
    assert stage.reason == "the database does not answer"


class Endless(Tokens):
    async def __call__(self) -> Login:
        raise away(later=0.01)


async def test_a_failing_registry_is_retried_until_it_answers_and_a_refusal_is_final() -> None:
    stage, reference = StageProgress(name="image"), ImageReference.parse(IMAGE.source)
    tokens = Tokens(*(away(later=None) for _ in range(40)))
    image, _ = await resolver(Manifests()).resolve(reference, tokens, stage)
    assert (image.digest, len(tokens.refusals)) == (DIGEST, 0)
    ended = RegistryRefused("instance-ended", "it ended", retryable=False, retry_after_seconds=5.0)
    tokens = Tokens(ended, ended)
    with pytest.raises(RegistryRefused):
        await resolver(Manifests()).resolve(reference, tokens, stage)
    assert len(tokens.refusals) == 1


async def test_a_stage_that_ends_while_it_waits_names_the_awaited_service(tmp_path: Path) -> None:
    progress, reference = World(tmp_path).progress, ImageReference.parse(IMAGE.source)
    with pytest.raises(StageFailed) as caught:
        async with progress.boot.stage("image", seconds_max=0.1) as stage:
            await resolver(Manifests()).resolve(reference, Endless(), stage)
    (problem,) = caught.value.problems
    assert problem.code == "storage-unavailable"
    assert problem.message.startswith("image: not done within 0.1 seconds and ")
    assert problem.message.endswith(" tries: the database does not answer")
