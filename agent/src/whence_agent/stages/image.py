"""Stages image and pull: a reference becomes a digest once; only the digest is pulled, run and reported."""

from __future__ import annotations

from whence_agent.ports import Engine, Registry, RegistryRefused
from whence_agent.progress import Progress
from whence_common.backoff import Backoff
from whence_common.image_reference import ImageReference
from whence_common.pause import pause
from whence_common.scm_source import FILE_BYTES_MAX, FILE_NAME, ScmSource, ScmSourceInvalid
from whence_common.statement import ImageFacts, ScmSourceFacts

ATTEMPTS_MAX = 5


async def resolve_image(
    registry: Registry, reference: ImageReference, *, tag_vouched: bool, backoff: Backoff
) -> ImageFacts:
    """Resolve a reference to a digest, trying again only where that can help. Raises RegistryRefused."""
    attempt = 0
    while True:
        try:
            resolved = await registry.resolve(reference)
        except RegistryRefused as exc:
            attempt += 1
            if not exc.retryable or attempt >= ATTEMPTS_MAX:
                raise
            await pause(backoff.seconds(attempt, at_least_seconds=exc.retry_after_seconds))
            continue
        break
    assert reference.digest is not None or tag_vouched, "the judgement of user data refuses tags nobody vouches for"
    return ImageFacts(
        source=str(reference),
        repository=reference.repository,
        digest=resolved.digest,
        index_digest=resolved.index_digest,
    )


async def pull_image(engine: Engine, image: ImageFacts, progress: Progress) -> str:
    """Pull by digest, read scm-source.json out of the image; give the local image id. Raises EngineFailed."""
    image_id = await engine.pull(image.repository, image.digest)
    content = await engine.read_file(image_id, f"/{FILE_NAME}", FILE_BYTES_MAX)
    progress.observed.scm_source = _scm_source(content)
    return image_id


def _scm_source(content: bytes | None) -> ScmSourceFacts:
    if content is None:
        return ScmSourceFacts(status="missing", reason=f"the image has no /{FILE_NAME}")
    try:
        source = ScmSource.parse(content)
    except ScmSourceInvalid as exc:
        return ScmSourceFacts(status="unreadable", reason=exc.message)
    return ScmSourceFacts(status="found", document={name: str(value) for name, value in source.to_wire().items()})
