"""Import of the tags that the registry behind had before the front, recorded as if they were pushed now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from whence_aggregator.ports import Database
from whence_aggregator.ports_registry import RegistryContents
from whence_aggregator.queries.work import ADD_TASK
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.ages import AgedTag, by_age, made_at
from whence_aggregator.registry.kinds import is_manifest, kind_of
from whence_aggregator.registry.names import LATEST, Repository
from whence_aggregator.registry.pushes import Pushes
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_aggregator.registry.sources import image_question, subject_of
from whence_common.clock import Now
from whence_common.errors import InputError
from whence_common.loose_json import loose
from whence_common.oci_manifest import Manifest

ADOPTER = Principal(name="import", kind="caller")


@dataclass(slots=True)
class Adopted:
    """How many tags were new, how many were known, and which were refused, with the reason."""

    new: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)


class Adoption:
    """Records tags. `name` is the registry's host."""

    def __init__(self, *, contents: RegistryContents, pushes: Pushes, database: Database, name: str, now: Now) -> None:
        self._contents = contents
        self._pushes = pushes
        self._database = database
        self._name = name
        self._now = now

    async def run(self, repositories: tuple[str, ...], *, say: Callable[[str], None]) -> Adopted:
        """Import repositories, all of them if none is named. A second run changes nothing."""
        outcome = Adopted()
        async for name in self._named(repositories):
            try:
                repository = Repository.parse(name)
                tags = await self._contents.tags(name)
            except RegistryRefusal as exc:
                outcome.refused.append(f"{name}: {exc.message}")
                continue
            images, others = await self._aged(repository, tags, outcome)
            for tag, created_at in by_age(images):
                await self._adopt(repository, tag, created_at, outcome)
            for tag in others:
                await self._adopt(repository, tag, "", outcome)
            say(f"{name}: {len(tags)} tags")
        return outcome

    async def _aged(self, repository: Repository, tags: list[str], outcome: Adopted) -> tuple[list[AgedTag], list[str]]:
        """Return the images' tags with their ages, and the tags of other artifacts."""
        images, others = [], []
        for tag in tags:
            if tag == LATEST:
                continue  # an alias here, never a tag
            try:
                manifest = Manifest.parse(await self._contents.tagged(str(repository), tag))
                image = manifest
                if manifest.image is not None:
                    image = Manifest.parse(await self._contents.tagged(str(repository), manifest.image.digest))
                if kind_of(image) != "image" or image.config is None:
                    others.append(tag)
                    continue
                config = loose(await self._contents.small_blob(str(repository), image.config.digest) or b"")
            except (RegistryRefusal, InputError) as exc:
                outcome.refused.append(f"{repository}:{tag}: {exc.message}")
                continue
            annotations = {**manifest.annotations, **image.annotations}
            images.append(AgedTag(tag=tag, made_at=made_at(config, annotations, self._now())))
        return images, others

    async def _named(self, repositories: tuple[str, ...]) -> AsyncIterator[str]:
        if repositories:
            for name in repositories:
                yield name
            return
        async for name in self._contents.repositories():
            yield name

    async def _adopt(self, repository: Repository, tag: str, created_at: str, outcome: Adopted) -> None:
        try:
            manifest = Manifest.parse(await self._contents.tagged(str(repository), tag))
            for child in manifest.children:
                if is_manifest(child):
                    part = Manifest.parse(await self._contents.tagged(str(repository), child.digest))
                    await self._pushes.push(repository, part.digest, part, ADOPTER)
            created = await self._pushes.push(repository, tag, manifest, ADOPTER, created_at=created_at)
        except (RegistryRefusal, InputError) as exc:
            outcome.refused.append(f"{repository}:{tag}: {exc.message}")
            return
        outcome.new += created
        outcome.known += not created
        if created and created_at:
            meant = manifest.image.digest if manifest.image is not None else ""
            subject = subject_of(self._name, str(repository), manifest.digest, meant)
            await self._database.write(ADD_TASK.bind([image_question(subject, str(repository), self._now())]))
