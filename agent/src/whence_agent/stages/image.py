"""Stages image and pull: a reference becomes a digest once, and must show what the platform asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_agent.ports import Engine, EngineFailed, Login, Registry, RegistryRefused, ResolvedImage
from whence_agent.ports_cloud import CloudRefused, Repositories
from whence_common.backoff import Backoff
from whence_common.errors import InputError
from whence_common.image_evidence import ImageEvidence
from whence_common.image_reference import ImageReference
from whence_common.image_trust import TrustedBuilder, builder_of, signer_of
from whence_common.pause import pause
from whence_common.scm_source import FILE_BYTES_MAX, FILE_NAME, ScmSource, ScmSourceInvalid
from whence_common.statement import ImageFacts, ScmSourceFacts
from whence_common.user_data.platform import PlatformRules

ATTEMPTS_MAX = 5
PULLS_MAX = 3


class ImageUntrusted(InputError):
    """The image does not show what the platform asks of images from its registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """What must be shown; an empty policy asks for nothing."""

    keys: tuple[ec.EllipticCurvePublicKey, ...] = ()
    builders: tuple[TrustedBuilder, ...] = ()
    production_ready_header: bool = False

    def verify(self, image: ImageFacts, evidence: ImageEvidence, *, production_ready: bool) -> ImageFacts:
        """Give the image with who vouches for it. Pure. Raises ImageUntrusted; nothing shown never counts as shown."""
        if self.production_ready_header and not production_ready:
            raise _untrusted("image-not-production-ready", image, "the registry does not call it production ready")
        signed_by = built_by = None
        if self.keys:
            signed_by = signer_of(
                image.digest,
                signatures=evidence.signatures,
                digest_signatures=evidence.digest_signatures,
                envelopes=evidence.envelopes,
                keys=self.keys,
            )
            if signed_by is None:
                raise _untrusted("image-unsigned", image, "none of the platform's keys has signed it")
        if self.builders:
            built_by = builder_of(image.digest, envelopes=evidence.envelopes, builders=self.builders)
            if built_by is None:
                raise _untrusted("image-no-provenance", image, "no trusted builder's provenance names it")
        return msgspec.structs.replace(image, signed_by=signed_by or "", built_by=built_by or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResolver:
    """Resolves references, trying again only where that can help."""

    registry: Registry
    repositories: Repositories
    policies: Mapping[str, TrustPolicy]
    rules: PlatformRules
    backoff: Backoff

    async def resolve(self, reference: ImageReference, login: Login | None) -> tuple[ImageFacts, Login | None]:
        """Give the image by digest, and what the engine shows. Raises RegistryRefused, ImageUntrusted, CloudRefused."""
        await self._tags_stay(reference)
        attempt = 0
        while True:
            try:
                return await self._once(reference, login)
            except RegistryRefused as exc:
                attempt += 1
                if not exc.retryable or attempt >= ATTEMPTS_MAX:
                    raise
                await pause(self.backoff.seconds(attempt, at_least_seconds=exc.retry_after_seconds))

    async def _once(self, reference: ImageReference, login: Login | None) -> tuple[ImageFacts, Login | None]:
        resolved = await self.registry.resolve(reference, login)
        image = ImageFacts(
            source=str(reference),
            repository=reference.repository,
            digest=resolved.digest,
            index_digest=resolved.index_digest,
        )
        policy = self.policies.get(reference.registry)
        if policy is None:
            return image, resolved.login
        return await self._trusted(policy, reference, image, resolved), resolved.login

    async def _trusted(
        self, policy: TrustPolicy, reference: ImageReference, image: ImageFacts, resolved: ResolvedImage
    ) -> ImageFacts:
        """Ask for what is signed: the image itself, or the index it was chosen from."""
        evidence = ImageEvidence()
        named = image
        if policy.keys or policy.builders:
            evidence = await self.registry.evidence(reference, image.digest, resolved.login)
            if evidence == ImageEvidence() and image.index_digest is not None:
                named = msgspec.structs.replace(image, digest=image.index_digest)
                evidence = await self.registry.evidence(reference, image.index_digest, resolved.login)
        verified = policy.verify(named, evidence, production_ready=resolved.production_ready)
        return msgspec.structs.replace(image, signed_by=verified.signed_by, built_by=verified.built_by)

    async def _tags_stay(self, reference: ImageReference) -> None:
        if reference.digest is not None:
            return
        policy = self.rules.tags_of(reference.registry)
        assert policy in ("vouched", "asked"), "the judgement of user data refuses tags nobody vouches for"
        if policy == "asked" and (said := await self._asked(reference)):
            raise ImageUntrusted(
                "image-tag-not-vouched",
                f"ECR says {said} of tags in {reference.repository}, so {reference.tag} may move",
                fix="switch tag immutability on for the repository, or name the image by digest",
            )

    async def _asked(self, reference: ImageReference) -> str:
        attempt = 0
        while True:
            try:
                return await self.repositories.tags_move(reference)
            except CloudRefused as exc:
                attempt += 1
                if not exc.retryable or attempt >= ATTEMPTS_MAX:
                    raise
                await pause(self.backoff.seconds(attempt))


async def pull_image(
    engine: Engine, image: ImageFacts, login: Login | None, *, backoff: Backoff
) -> tuple[str, ScmSourceFacts]:
    """Pull by digest, read scm-source.json out of the image; give the local image id. Raises EngineFailed.

    The engine does not say whether trying again can help, so a pull is tried three times within the stage's deadline.
    """
    attempt = 0
    while True:
        try:
            image_id = await engine.pull(image.repository, image.digest, login)
            break
        except EngineFailed as exc:
            attempt += 1
            if attempt >= PULLS_MAX or exc.code == "engine-wrong-digest":
                raise
            await pause(backoff.seconds(attempt))
    content = await engine.read_file(image_id, f"/{FILE_NAME}", FILE_BYTES_MAX)
    return image_id, _scm_source(content)


def _scm_source(content: bytes | None) -> ScmSourceFacts:
    if content is None:
        return ScmSourceFacts(status="missing", reason=f"the image has no /{FILE_NAME}")
    try:
        source = ScmSource.parse(content)
    except ScmSourceInvalid as exc:
        return ScmSourceFacts(status="unreadable", reason=exc.message)
    return ScmSourceFacts(status="found", document={name: str(value) for name, value in source.to_wire().items()})


def _untrusted(code: str, image: ImageFacts, why: str) -> ImageUntrusted:
    return ImageUntrusted(code, f"{image.repository}@{image.digest}: {why}", fix="build and sign it by the pipeline")
