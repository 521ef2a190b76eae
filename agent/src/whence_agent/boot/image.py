"""Stage image: resolves each reference to a digest, once, and verifies what the platform requires of the image."""

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
"""Returns the login for a registry. Tokens expire, so each try gets a new login."""
_NOTHING = ImageEvidence()


class ImageUntrusted(InputError):
    """The image lacks what the platform requires of images from its registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """What is required of an image; an empty policy requires nothing."""

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
        """Return the image with the signer and builder of it or of its index. Pure. Raises ImageUntrusted.

        Missing evidence never counts as present.
        """
        if self.production_ready_header and not production_ready:
            why = "the registry does not state that it is production ready"
            raise _untrusted("image-not-production-ready", image, why)
        shown = [(image.digest, evidence)]
        if image.index_digest is not None:
            shown.append((image.index_digest, of_index))
        unread = "; some evidence could not be read: ".join(["", *(evidence.unread + of_index.unread)[:1]])
        signed_by = built_by = ""
        if self.keys:
            signed_by = next((one for one in (self._signer(*each) for each in shown) if one is not None), "")
            if not signed_by:
                raise _untrusted("image-unsigned", image, f"it has no signature by a key of the platform{unread}")
        if self.builders:
            built_by = next((one for one in (self._builder(*each) for each in shown) if one is not None), "")
            if not built_by:
                raise _untrusted("image-no-provenance", image, f"it has no provenance by a trusted builder{unread}")
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
    """Resolves references, with retries of transient errors until the stage's deadline."""

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
        await self._check_tag(reference, stage)
        return await self._retry(lambda login: self._once(reference, login), reference, sign_in, stage)

    async def sign_in_again(
        self, image: ImageFacts, reference: ImageReference, sign_in: LoginSource, stage: StageProgress
    ) -> Login | None:
        """Return a login that the registry accepts now for this image. Raises RegistryRefused."""
        pinned = ImageReference.parse(reference.at(image.digest))

        async def once(login: Login | None) -> Login | None:
            return (await self.registry.resolve(pinned, login)).login

        return await self._retry(once, reference, sign_in, stage)

    async def _retry(
        self,
        request: Callable[[Login | None], Awaitable[T]],
        reference: ImageReference,
        sign_in: LoginSource,
        stage: StageProgress,
    ) -> T:
        """Send a request, with retries until the stage's deadline, each with a new login.

        A refused login may have expired in the meantime: the request is sent once more with another login, if there
        is one; a second refusal is final.
        """

        async def once() -> T:
            login = await sign_in()
            try:
                return await request(login)
            except RegistryRefused as exc:
                if exc.code != "registry-unauthorised" or exc.retryable or login is None:
                    raise
                fresh = await sign_in()
                if fresh == login:
                    raise
                return await request(fresh)

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
        return await self._verify(policy, reference, image, resolved), resolved

    async def _verify(
        self, policy: TrustPolicy, reference: ImageReference, image: ImageFacts, resolved: ResolvedImage
    ) -> ImageFacts:
        """Return the verified image; the evidence may be about the image itself or about its index."""
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

    async def _check_tag(self, reference: ImageReference, stage: StageProgress) -> None:
        """Refuse a tag that may change. Raises ImageUntrusted, CloudRefused."""
        if reference.digest is not None:
            return
        policy = self.rules.tags_of(reference.registry)
        assert policy in ("vouched", "asked"), "the judgement of user data refuses tags not configured as immutable"
        if policy == "asked" and (mutability := await self._tag_mutability(reference, stage)):
            raise ImageUntrusted(
                "image-tag-not-vouched",
                f"ECR reports {mutability} for {reference.repository}, so the tag {reference.tag} may change",
                fix="enable tag immutability for the repository, or name the image by digest",
            )

    async def _tag_mutability(self, reference: ImageReference, stage: StageProgress) -> str:
        return await self._patience.keep_trying(
            lambda: self.repositories.tags_move(reference), stage, waiting_for=f"ECR, for {reference.registry}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImage:
    """A resolved image, and the source of logins for its registry."""

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
    return ImageUntrusted(code, f"{image.repository}@{image.digest}: {why}", fix="build and sign it in the pipeline")
