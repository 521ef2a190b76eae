"""A pull that fails is tried again, an answer that lies is not."""

from __future__ import annotations

import pytest

from fakes.agent_world import DIGEST, FakeEngine
from whence_agent.ports import EngineFailed
from whence_agent.stages.image import PULLS_MAX, pull_image
from whence_common.backoff import Backoff
from whence_common.registry_sign_in import Login
from whence_common.statement import ImageFacts

IMAGE = ImageFacts(source="r.example.org/a/b:1", repository="r.example.org/a/b", digest=DIGEST)
NO_PAUSE = Backoff(first_seconds=0.0, longest_seconds=0.0, random=lambda: 0.0)


class FailingEngine(FakeEngine):
    """Fails as often as it is told, then pulls."""

    def __init__(self, *codes: str) -> None:
        super().__init__()
        self.codes = list(codes)
        self.pulled = 0

    async def pull(self, repository: str, digest: str, login: Login | None) -> str:
        self.pulled += 1
        if self.codes:
            raise EngineFailed(self.codes.pop(0), "the pull failed")
        return "id"


async def test_a_pull_that_breaks_off_is_tried_again() -> None:
    engine = FailingEngine("engine-pull", "engine-unreachable")
    image_id, scm_source = await pull_image(engine, IMAGE, None, backoff=NO_PAUSE)
    assert (image_id, scm_source.status, engine.pulled) == ("id", "missing", 3)


async def test_after_three_pulls_it_is_the_engines_reason() -> None:
    engine = FailingEngine(*["engine-pull"] * 9)
    with pytest.raises(EngineFailed):
        await pull_image(engine, IMAGE, None, backoff=NO_PAUSE)
    assert engine.pulled == PULLS_MAX


async def test_another_digest_than_was_asked_for_is_not_asked_for_again() -> None:
    engine = FailingEngine("engine-wrong-digest", "engine-pull")
    with pytest.raises(EngineFailed):
        await pull_image(engine, IMAGE, None, backoff=NO_PAUSE)
    assert engine.pulled == 1
