"""Stage pull: the image comes to the engine by digest, and what it states about its source is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from whence_agent.boot.container import PulledImage
from whence_agent.boot.image import ImageResolver, ResolvedImages, WantedImage
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.patience import Patience
from whence_agent.ports import ENGINE_UNAUTHORISED, Engine, EngineFailed, PullProgress
from whence_agent.progress.stage import StageProgress
from whence_common.image_provenance import SourceClaim, claims_of_labels
from whence_common.registry_sign_in import Login
from whence_common.scm_source import FILE_BYTES_MAX, FILE_NAME, ScmSource, ScmSourceInvalid
from whence_common.statement import ImageFacts, ScmSourceFacts, SourceClaimFacts

T = TypeVar("T")
LOGIN_SECONDS_LEAST = 60.0
"""A login whose life is not stated holds for so long at least (distribution's token specification)."""


@dataclass(slots=True, kw_only=True)
class ImagePull:
    """The pull of one image until the stage's deadline; the status shows how far it is.

    `login` is what the registry accepted in the stage `image`; `again` returns one that it accepts now. Logins end, so
    each try after a failure has its own. From most logins the engine renews its tokens by itself. One that it cannot
    renew, and that ended before the pull was done, is no failure where the engine keeps the layers that it has: the
    pull goes on with another one at once. Docker's older store begins anew with each try; it is tried with pauses.
    """

    engine: Engine
    patience: Patience
    monotonic: Callable[[], float]
    stage: StageProgress
    image: ImageFacts
    login: Login | None
    again: Callable[[], Awaitable[Login | None]]
    _shown: bool = field(default=False, init=False)
    """Whether the login was shown already: then the next try gets another one."""
    _fresh: bool = field(default=False, init=False)
    _far: PullProgress = field(default_factory=PullProgress, init=False)
    _kept_most: int = field(default=0, init=False)

    async def run(self, claims: Sequence[SourceClaim] = ()) -> tuple[str, ScmSourceFacts]:
        """Pull by digest, read what the image states about its source; return the local image id and that.

        `claims` are those of the manifest's annotations. Labels are read from the engine, by the aggregator's rules.
        Raises EngineFailed for what cannot pass, and what `again` raises.
        """
        image_id = await self._patiently(self._once)
        content = await self._patiently(lambda: self.engine.read_file(image_id, f"/{FILE_NAME}", FILE_BYTES_MAX))
        config = await self._patiently(lambda: self.engine.config(image_id))
        self.stage.doing = ""
        stated = [*claims, *claims_of_labels(config, None)[0]]
        return image_id, msgspec.structs.replace(_scm_source(content), claims=[_claim_facts(one) for one in stated])

    async def _patiently(self, once: Callable[[], Awaitable[T]]) -> T:
        return await self.patience.keep_trying(
            once, self.stage, waiting_for=f"the Docker Engine's pull of {self.image.repository}"
        )

    async def _once(self) -> str:
        """Pull once, going on with another login when the one that the engine was given has ended on the way."""
        while True:
            if self._shown:
                self.login, self._fresh = await self._another_login(), True
            began, self._far, self._shown = self.monotonic(), PullProgress(), True
            try:
                return await self.engine.pull(self.image.repository, self.image.digest, self.login, told=self._told)
            except EngineFailed as exc:
                self.stage.doing = ""
                if exc.code != ENGINE_UNAUTHORISED:
                    raise
                kept_more = self._kept_more()
                if self._fresh and not kept_more:
                    raise self._refused(exc, self.monotonic() - began) from exc

    async def _another_login(self) -> Login | None:
        """Return what `again` returns; what the pull itself waits for stays on the stage."""
        stage = self.stage
        before = stage.waiting_for, stage.attempt, stage.last_error, stage.reason
        login = await self.again()
        stage.waiting_for, stage.attempt, stage.last_error, stage.reason = before
        return login

    def _kept_more(self) -> bool:
        """Tell whether the engine has more layers for good than after any try before."""
        kept, before = self._far.layers_kept, self._kept_most
        self._kept_most = max(kept, before)
        return kept > before

    def _refused(self, exc: EngineFailed, seconds: float) -> EngineFailed:
        """Return the error for a login that was refused `seconds` after the registry had accepted it."""
        stated = self.login.seconds if self.login is not None else None
        if seconds < (LOGIN_SECONDS_LEAST if stated is None else stated):
            return exc
        return EngineFailed(
            exc.code, f"{exc.message}; the login ended after {seconds:.0f} seconds, before the pull was done",
            fix="have the registry's logins hold longer, or give one that the engine can renew tokens with",
        )  # fmt: skip

    def _told(self, progress: PullProgress) -> None:
        self._far = progress
        self.stage.doing = progress.words()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedSource(Observation):
    """What the application's image states about its source."""

    facts: ScmSourceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled(Observation):
    """The images that the engine has: the application's, with its source, and each sidecar's by its name."""

    source: ScmSourceFacts
    main: PulledImage
    others: Mapping[str, PulledImage]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullStage:
    engine: Engine
    images: ImageResolver
    patience: Patience
    monotonic: Callable[[], float]
    name: str = "pull"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return True

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Pulled:
        """Pull each image, the application's first. Raises EngineFailed, RegistryRefused."""
        images = so_far.of(ResolvedImages)
        main, source = await self._pull(images.main, handle.stage)
        handle.observed(StatedSource(facts=source))
        others = {name: (await self._pull(one, handle.stage))[0] for name, one in images.others.items()}
        return Pulled(source=source, main=main, others=others)

    async def _pull(self, image: WantedImage, stage: StageProgress) -> tuple[PulledImage, ScmSourceFacts]:
        pull = ImagePull(
            engine=self.engine,
            patience=self.patience,
            monotonic=self.monotonic,
            stage=stage,
            image=image.facts,
            login=image.resolved.login,
            again=lambda: self.images.sign_in_again(image.facts, image.reference, image.sign_in, stage),
        )
        image_id, source = await pull.run(image.resolved.claims)
        return PulledImage(facts=image.facts, image_id=image_id), source


def _claim_facts(claim: SourceClaim) -> SourceClaimFacts:
    return SourceClaimFacts(
        kind=claim.kind,  # type: ignore[arg-type]  # annotations and labels only
        url=claim.source.url,
        revision=claim.source.revision,
        maybe_inherited=claim.maybe_inherited,
    )


def _scm_source(content: bytes | None) -> ScmSourceFacts:
    if content is None:
        return ScmSourceFacts(status="missing", reason=f"the image has no /{FILE_NAME}")
    try:
        source = ScmSource.parse(content)
    except ScmSourceInvalid as exc:
        return ScmSourceFacts(status="unreadable", reason=exc.message)
    return ScmSourceFacts(status="found", document={name: str(value) for name, value in source.to_wire().items()})
