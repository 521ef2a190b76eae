"""A pull that fails is tried again, an answer that lies is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fakes.agent_world import DIGEST, FakeEngine, World
from whence_agent.ports import EngineFailed, RegistryRefused, ResolvedImage
from whence_agent.progress import StageFailed, StageProgress
from whence_agent.stages.image import PULLS_MAX, ImageResolver, pull_image
from whence_common.backoff import Backoff
from whence_common.image_evidence import ImageEvidence
from whence_common.image_reference import ImageReference
from whence_common.registry_sign_in import Login
from whence_common.statement import ImageFacts
from whence_common.user_data.platform import PlatformRules

IMAGE = ImageFacts(source="r.example.org/a/b:1", repository="r.example.org/a/b", digest=DIGEST)
NO_PAUSE = Backoff(first_seconds=0.0, longest_seconds=0.0, random=lambda: 0.0)


class FailingEngine(FakeEngine):
    """Fails as often as it is told, then pulls. `shown` are the tokens that it was given."""

    def __init__(self, *codes: str) -> None:
        super().__init__()
        self.codes = list(codes)
        self.pulled = 0
        self.shown: list[str] = []

    async def pull(self, repository: str, digest: str, login: Login | None) -> str:
        self.pulled += 1
        self.shown.append(login.registry_token if login is not None else "")
        if self.codes:
            raise EngineFailed(self.codes.pop(0), "the pull failed")
        return "id"


class Tokens:
    """Gives another token each time; raises what it is told to, first to last."""

    def __init__(self, *refusals: RegistryRefused) -> None:
        self.refusals = list(refusals)
        self.given = 0

    async def __call__(self) -> Login:
        if self.refusals:
            raise self.refusals.pop(0)
        self.given += 1
        return Login(registry_token=f"token {self.given}")


class Manifests:
    """A registry that has the image. `asked` are the digests and what was shown with them."""

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


async def test_a_pull_that_breaks_off_is_tried_again() -> None:
    engine = FailingEngine("engine-pull", "engine-unreachable")
    image_id, scm_source = await pull_image(engine, IMAGE, None, backoff=NO_PAUSE, again=Tokens())
    assert (image_id, scm_source.status, engine.pulled) == ("id", "missing", 3)


async def test_after_three_pulls_it_is_the_engines_reason() -> None:
    engine = FailingEngine(*["engine-pull"] * 9)
    with pytest.raises(EngineFailed):
        await pull_image(engine, IMAGE, None, backoff=NO_PAUSE, again=Tokens())
    assert engine.pulled == PULLS_MAX


async def test_another_digest_than_was_asked_for_is_not_asked_for_again() -> None:
    engine = FailingEngine("engine-wrong-digest", "engine-pull")
    with pytest.raises(EngineFailed):
        await pull_image(engine, IMAGE, None, backoff=NO_PAUSE, again=Tokens())
    assert engine.pulled == 1


async def test_each_try_shows_a_token_of_its_own() -> None:
    """The first one may have ended while disks were prepared."""
    engine = FailingEngine("engine-pull", "engine-pull")
    await pull_image(engine, IMAGE, Login(registry_token="first"), backoff=NO_PAUSE, again=Tokens())
    assert engine.shown == ["first", "token 1", "token 2"]


async def test_an_engine_that_failed_is_asked_again_once_the_registry_answers_for_the_image() -> None:
    registry, stage = Manifests(), StageProgress(name="pull")
    tokens, reference = Tokens(*(away() for _ in range(40))), ImageReference.parse(IMAGE.source)
    engine = FailingEngine("engine-pull")
    image_id, _ = await pull_image(
        engine, IMAGE, None, backoff=NO_PAUSE,
        again=lambda: resolver(registry).sign_in_again(IMAGE, reference, tokens, stage),
    )  # fmt: skip
    assert (image_id, engine.shown, registry.asked) == ("id", ["", "token 1"], [(DIGEST, "token 1")])
    assert stage.reason == "", "what was waited for is over"


async def test_a_registry_that_says_when_to_come_again_is_asked_until_the_stage_ends() -> None:
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


async def test_one_that_only_fails_is_asked_until_it_answers_and_one_that_refuses_once() -> None:
    stage, reference = StageProgress(name="image"), ImageReference.parse(IMAGE.source)
    tokens = Tokens(*(away(later=None) for _ in range(40)))
    image, _ = await resolver(Manifests()).resolve(reference, tokens, stage)
    assert (image.digest, len(tokens.refusals)) == (DIGEST, 0)
    ended = RegistryRefused("instance-ended", "it ended", retryable=False, retry_after_seconds=5.0)
    tokens = Tokens(ended, ended)
    with pytest.raises(RegistryRefused):
        await resolver(Manifests()).resolve(reference, tokens, stage)
    assert len(tokens.refusals) == 1


async def test_a_stage_that_ends_while_it_waits_names_what_it_waited_for(tmp_path: Path) -> None:
    progress, reference = World(tmp_path).progress, ImageReference.parse(IMAGE.source)
    with pytest.raises(StageFailed) as caught:
        async with progress.stage("image", seconds_max=0.1) as stage:
            await resolver(Manifests()).resolve(reference, Endless(), stage)
    (problem,) = caught.value.problems
    assert problem.code == "storage-unavailable"
    assert problem.message.startswith("image: not done within 0.1 seconds and ")
    assert problem.message.endswith(" tries: the database does not answer")
