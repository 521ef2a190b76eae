"""Stage pull: pulls each image by digest, and reads what it states about its source."""

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
"""Least lifetime of a login that states none (distribution's token specification)."""


@dataclass(slots=True, kw_only=True)
class ImagePull:
    """The pull of one image, with retries until the stage's deadline; the status shows its progress.

    `login` is the one that the registry accepted in the stage `image`; `again` returns one that it accepts now. Logins
    expire, so each try after a failure gets a new one. With most logins the engine renews its tokens by itself. If a
    login that cannot be renewed expires during the pull, and the engine has stored more layers, the pull continues
    with another login at once. Docker's older store starts from the beginning with each try; it is retried with
    pauses.
    """

    engine: Engine
    patience: Patience
    monotonic: Callable[[], float]
    stage: StageProgress
    image: ImageFacts
    login: Login | None
    again: Callable[[], Awaitable[Login | None]]
    _login_used: bool = field(default=False, init=False)
    """Whether the login was used already: then the next try gets another one."""
    _login_is_new: bool = field(default=False, init=False)
    _progress: PullProgress = field(default_factory=PullProgress, init=False)
    _layers_kept_max: int = field(default=0, init=False)

    async def run(self, claims: Sequence[SourceClaim] = ()) -> tuple[str, ScmSourceFacts]:
        """Pull by digest; return the local image id, and what the image states about its source.

        `claims` are those of the manifest's annotations. Labels are read from the engine, by the aggregator's rules.
        Raises EngineFailed for permanent errors, and what `again` raises.
        """
        image_id = await self._retry(self._once)
        content = await self._retry(lambda: self.engine.read_file(image_id, f"/{FILE_NAME}", FILE_BYTES_MAX))
        config = await self._retry(lambda: self.engine.config(image_id))
        self.stage.doing = ""
        stated = [*claims, *claims_of_labels(config, None)[0]]
        return image_id, msgspec.structs.replace(_scm_source(content), claims=[_claim_facts(one) for one in stated])

    async def _retry(self, once: Callable[[], Awaitable[T]]) -> T:
        return await self.patience.keep_trying(
            once, self.stage, waiting_for=f"the Docker Engine's pull of {self.image.repository}"
        )

    async def _once(self) -> str:
        """Pull once; if the login expired meanwhile, continue with another one."""
        while True:
            if self._login_used:
                self.login, self._login_is_new = await self._another_login(), True
            began, self._progress, self._login_used = self.monotonic(), PullProgress(), True
            try:
                return await self.engine.pull(
                    self.image.repository, self.image.digest, self.login, on_progress=self._show
                )
            except EngineFailed as exc:
                self.stage.doing = ""
                if exc.code != ENGINE_UNAUTHORISED:
                    raise
                kept_more = self._kept_more()
                if self._login_is_new and not kept_more:
                    raise self._login_refused(exc, self.monotonic() - began) from exc

    async def _another_login(self) -> Login | None:
        """Return what `again` returns; the status continues to show what the pull waits for."""
        stage = self.stage
        before = stage.waiting_for, stage.attempt, stage.last_error, stage.reason
        login = await self.again()
        stage.waiting_for, stage.attempt, stage.last_error, stage.reason = before
        return login

    def _kept_more(self) -> bool:
        """Return whether the engine has stored more layers than after any earlier try."""
        kept, before = self._progress.layers_kept, self._layers_kept_max
        self._layers_kept_max = max(kept, before)
        return kept > before

    def _login_refused(self, exc: EngineFailed, seconds: float) -> EngineFailed:
        """Return the error for a login that was refused `seconds` after the registry accepted it."""
        stated = self.login.seconds if self.login is not None else None
        if seconds < (LOGIN_SECONDS_LEAST if stated is None else stated):
            return exc
        return EngineFailed(
            exc.code, f"{exc.message}; the login expired after {seconds:.0f} seconds, before the pull was complete",
            fix="make the registry's logins last longer, or configure one with which the engine can renew tokens",
        )  # fmt: skip

    def _show(self, progress: PullProgress) -> None:
        self._progress = progress
        self.stage.doing = progress.describe()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedSource(Observation):
    """What the application's image states about its source."""

    facts: ScmSourceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled(Observation):
    """The pulled images: the application's, with its source, and each sidecar's by its name."""

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
