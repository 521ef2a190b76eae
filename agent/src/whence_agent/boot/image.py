"""Stage image: a reference becomes a digest once, and must show what the platform asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_agent.boot.secrets import Resolved
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged
from whence_agent.credentials.sign_in import SignIn
from whence_agent.patience import Patience
from whence_agent.ports import Registry, RegistryRefused, ResolvedImage
from whence_agent.ports_cloud import Repositories
from whence_agent.progress.stage import StageProgress
from whence_common.backoff import Backoff
from whence_common.errors import InputError
from whence_common.image_evidence import ImageEvidence
from whence_common.image_reference import ImageReference, registry_name
from whence_common.image_trust import TrustedBuilder, builder_of, signer_of
from whence_common.registry_sign_in import Login
from whence_common.statement import ImageFacts
from whence_common.user_data.platform import PlatformRules

T = TypeVar("T")
LoginSource = Callable[[], Awaitable[Login | None]]
"""Gives what to show to the registry: tokens end, so each try has a login of its own."""
_NOTHING = ImageEvidence()


class ImageUntrusted(InputError):
    """The image does not show what the platform asks of images from its registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """What must be shown; an empty policy asks for nothing."""

    keys: tuple[ec.EllipticCurvePublicKey, ...] = ()
    builders: tuple[TrustedBuilder, ...] = ()
    production_ready_header: bool = False

    def verify(
        self,
        image: ImageFacts,
        evidence: ImageEvidence,
        *,
        production_ready: bool,
        of_index: ImageEvidence = _NOTHING,
    ) -> ImageFacts:
        """Give the image with who vouches for it or for the index it was chosen from. Pure. Raises ImageUntrusted.

        What was not shown never counts as shown.
        """
        if self.production_ready_header and not production_ready:
            raise _untrusted("image-not-production-ready", image, "the registry does not call it production ready")
        shown = [(image.digest, evidence)]
        if image.index_digest is not None:
            shown.append((image.index_digest, of_index))
        unread = "; not everything was read: ".join(["", *(evidence.unread + of_index.unread)[:1]])
        signed_by = built_by = ""
        if self.keys:
            signed_by = next((one for one in (self._signer(*each) for each in shown) if one is not None), "")
            if not signed_by:
                raise _untrusted("image-unsigned", image, f"none of the platform's keys has signed it{unread}")
        if self.builders:
            built_by = next((one for one in (self._builder(*each) for each in shown) if one is not None), "")
            if not built_by:
                raise _untrusted("image-no-provenance", image, f"no trusted builder's provenance names it{unread}")
        return msgspec.structs.replace(image, signed_by=signed_by, built_by=built_by)

    def _signer(self, digest: str, evidence: ImageEvidence) -> str | None:
        return signer_of(
            digest,
            signatures=evidence.signatures,
            digest_signatures=evidence.digest_signatures,
            envelopes=evidence.envelopes,
            keys=self.keys,
        )

    def _builder(self, digest: str, evidence: ImageEvidence) -> str | None:
        return builder_of(digest, envelopes=evidence.envelopes, builders=self.builders)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResolver:
    """Resolves references, trying again until the stage's deadline where that can help."""

    registry: Registry
    repositories: Repositories
    policies: Mapping[str, TrustPolicy]
    rules: PlatformRules
    backoff: Backoff

    async def resolve(
        self, reference: ImageReference, sign_in: LoginSource, stage: StageProgress
    ) -> tuple[ImageFacts, ResolvedImage]:
        """Return the image by digest, and what the registry stated about it.

        Raises RegistryRefused, ImageUntrusted, CloudRefused.
        """
        await self._tags_stay(reference, stage)
        return await self._patiently(lambda login: self._once(reference, login), reference, sign_in, stage)

    async def sign_in_again(
        self, image: ImageFacts, reference: ImageReference, sign_in: LoginSource, stage: StageProgress
    ) -> Login | None:
        """Return a login that the registry accepts now, once it answers for the image. Raises RegistryRefused."""
        pinned = ImageReference.parse(reference.at(image.digest))

        async def once(login: Login | None) -> Login | None:
            return (await self.registry.resolve(pinned, login)).login

        return await self._patiently(once, reference, sign_in, stage)

    async def _patiently(
        self,
        ask: Callable[[Login | None], Awaitable[T]],
        reference: ImageReference,
        sign_in: LoginSource,
        stage: StageProgress,
    ) -> T:
        """Ask until the stage's deadline, each time with a login of its own.

        A login that is not accepted may have ended on the way: the registry is asked once more with another one, where
        there is another one, and then believed.
        """

        async def once() -> T:
            login = await sign_in()
            try:
                return await ask(login)
            except RegistryRefused as exc:
                if exc.code != "registry-unauthorised" or exc.retryable or login is None:
                    raise
                fresh = await sign_in()
                if fresh == login:
                    raise
                return await ask(fresh)

        before, stage.reason = stage.reason, f"the registry {reference.registry} has not answered yet"
        found = await self._patience.keep_trying(once, stage, waiting_for=f"the registry {reference.registry}")
        stage.reason = before
        return found

    @property
    def _patience(self) -> Patience:
        return Patience(backoff=self.backoff)

    async def _once(self, reference: ImageReference, login: Login | None) -> tuple[ImageFacts, ResolvedImage]:
        resolved = await self.registry.resolve(reference, login)
        image = ImageFacts(
            source=str(reference),
            repository=reference.repository,
            digest=resolved.digest,
            index_digest=resolved.index_digest,
        )
        policy = self.policies.get(registry_name(reference.registry))
        if policy is None:
            return image, resolved
        return await self._trusted(policy, reference, image, resolved), resolved

    async def _trusted(
        self, policy: TrustPolicy, reference: ImageReference, image: ImageFacts, resolved: ResolvedImage
    ) -> ImageFacts:
        """Ask for what is signed: the image itself, or the index it was chosen from."""
        evidence = ImageEvidence()
        if policy.keys or policy.builders:
            evidence = await self.registry.evidence(reference, image.digest, resolved.login)
        try:
            return policy.verify(image, evidence, production_ready=resolved.production_ready)
        except ImageUntrusted:
            if image.index_digest is None or not (policy.keys or policy.builders):
                raise
        of_index = await self.registry.evidence(reference, image.index_digest, resolved.login)
        return policy.verify(image, evidence, of_index=of_index, production_ready=resolved.production_ready)

    async def _tags_stay(self, reference: ImageReference, stage: StageProgress) -> None:
        if reference.digest is not None:
            return
        policy = self.rules.tags_of(reference.registry)
        assert policy in ("vouched", "asked"), "the judgement of user data refuses tags nobody vouches for"
        if policy == "asked" and (said := await self._asked(reference, stage)):
            raise ImageUntrusted(
                "image-tag-not-vouched",
                f"ECR says {said} of tags in {reference.repository}, so {reference.tag} may move",
                fix="switch tag immutability on for the repository, or name the image by digest",
            )

    async def _asked(self, reference: ImageReference, stage: StageProgress) -> str:
        return await self._patience.keep_trying(
            lambda: self.repositories.tags_move(reference), stage, waiting_for=f"ECR, for {reference.registry}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImage:
    """An image that was resolved, and how its registry is signed in to."""

    reference: ImageReference
    facts: ImageFacts
    resolved: ResolvedImage
    sign_in: LoginSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImages(Observation):
    """The application's image by digest, and each sidecar's by its name."""

    main: WantedImage
    others: Mapping[str, WantedImage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStage:
    resolver: ImageResolver
    sign_in: SignIn
    name: str = "image"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return True

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> ResolvedImages:
        """Return each image by digest. Raises RegistryRefused, ImageUntrusted, CloudRefused."""
        user_data, secrets = so_far.of(Judged).user_data, so_far.of(Resolved)

        async def wanted(reference: ImageReference) -> WantedImage:
            sign_in = partial(self.sign_in.login, reference, secrets.sign_in)
            facts, resolved = await self.resolver.resolve(reference, sign_in, handle.stage)
            return WantedImage(reference=reference, facts=facts, resolved=resolved, sign_in=sign_in)

        main = await wanted(user_data.source)
        handle.observed(ResolvedImages(main=main))
        return ResolvedImages(main=main, others={one.name: await wanted(one.source) for one in user_data.sidecars})


def _untrusted(code: str, image: ImageFacts, why: str) -> ImageUntrusted:
    return ImageUntrusted(code, f"{image.repository}@{image.digest}: {why}", fix="build and sign it by the pipeline")
