"""What the front lists of its tags: images only, the newest by time, none that falls out of the lists for being new."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from fakes.in_process import InProcess
from fakes.kept_blobs import BLOB_BYTES, image
from whence_aggregator.ports import Database
from whence_aggregator.projections.pushes import push_writes
from whence_aggregator.queries.query import BoundCommand, Parameters
from whence_aggregator.queries.registry import ADD_MANIFEST, PUT_TAG
from whence_aggregator.queries.trace import TAG_DIGESTS
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.adoption import Adoption
from whence_aggregator.registry.catalog import TAGS_MAX, Catalog
from whence_aggregator.registry.listing import ImageListing, WantedImages
from whence_aggregator.registry.names import Repository
from whence_common.clock import to_instant
from whence_common.digest import sha256_digest
from whence_common.oci_manifest import Manifest

HOST = "pierone.example.org"
APP = Repository(team="alpha", artifact="app")
ADA = Principal(name="ada", kind="person")
FIRST = datetime(2020, 1, 1, tzinfo=UTC)


def signature(**annotations: str) -> Manifest:
    """Give what cosign pushes: an image's configuration, and a layer that is none."""
    document = json.loads(image(**annotations).content)
    document["layers"][0]["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json"
    return Manifest.parse(json.dumps(document).encode())


async def listed(database: Database) -> list[str]:
    found, _ = await ImageListing(database=database, name=HOST).images(WantedImages(), after="", limit=100)
    return [one["tag"] for one in found]


async def latest(catalog: Catalog) -> str:
    return (await catalog.manifest(APP, "latest")).digest


async def test_lists_of_images_hold_images(house: InProcess, database: Database) -> None:
    catalog, one = Catalog(database=database, name=HOST), image(n="1")
    tag = one.digest.replace(":", "-") + ".sig"
    await house.pushes.push(APP, "1.0", one, ADA)
    await house.pushes.push(APP, tag, signature(by="ada"), ADA)
    await house.pushes.push(Repository(team="beta", artifact="chart"), "1.0", signature(), ADA)
    assert await listed(database) == ["1.0"]
    assert [found["name"] for found in await catalog.tags_of("alpha/app")] == ["1.0"]
    assert await latest(catalog) == one.digest
    assert await catalog.teams() == ["alpha"]
    assert await catalog.artifacts("beta") == []
    assert await catalog.team_statistics("alpha") == {"artifacts": 1, "tags": 1}
    assert await catalog.team_statistics(None) == [{"team": "alpha", "stats": {"artifacts": 1, "tags": 1}}]
    assert sorted(await catalog.tags(APP, after="", limit=10)) == ["1.0", tag]


async def test_each_move_of_a_signature_tag_is_an_entry_and_nothing_it_named_is_lost(
    house: InProcess, database: Database
) -> None:
    one = image(n="1")
    tag, moves = one.digest.replace(":", "-") + ".att", [signature(by=name) for name in ("ada", "bob", "eve")]
    await house.pushes.push(APP, "1.0", one, ADA)
    for move in (*moves, moves[2]):
        await house.pushes.push(APP, tag, move, ADA)
    pushed = [json.loads(entry.content or b"") for entry in await house.entries("push")]
    assert [one["digest"] for one in pushed if one["tag"] == tag] == [move.digest for move in moves]
    seen = await database.fetch(TAG_DIGESTS.bind({"references": json.dumps([f"{HOST}/{APP}:{tag}"]), "past": 2**62}))
    assert {row["digest"] for row in seen} == {move.digest for move in moves}


async def test_beyond_the_lists_bound_the_oldest_tags_fall_out(database: Database) -> None:
    writes: dict[str, list[Parameters]] = {}
    for number in range(TAGS_MAX + 50):
        event = {
            "registry": HOST, "repository": str(APP), "tag": f"1.{number}", "digest": sha256_digest(str(number).encode()),
            "media_type": "x", "size": 2, "image": sha256_digest(b"{}"), "artifact_type": "", "subject": "", "child": "",
            "annotations": {}, "blobs": [], "pushed_by": "ada", "pushed_at": to_instant(FIRST + timedelta(seconds=number)),
        }  # fmt: skip
        for query, rows in push_writes(number, event):
            if query in (ADD_MANIFEST.name, PUT_TAG.name):
                writes.setdefault(query, []).extend(rows)
    await database.write(*(BoundCommand(query, rows) for query, rows in writes.items()))
    catalog = Catalog(database=database, name=HOST)
    names = [one["name"] for one in await catalog.tags_of(str(APP))]
    assert (len(names), names[0], names[-1]) == (TAGS_MAX, "1.50", f"1.{TAGS_MAX + 49}")
    found = await catalog.tag_map(str(APP))
    assert f"1.{TAGS_MAX + 49}" in found
    assert found["latest"] == found[names[-1]]


class Before:
    """What a registry held before the front stood there: tags by when their images say that they were made."""

    def __init__(self, **made: str | None) -> None:
        self._made = {tag.replace("_", "."): at for tag, at in made.items()}

    async def repositories(self) -> AsyncIterator[str]:
        yield str(APP)

    async def tags(self, repository: str) -> list[str]:
        return sorted(self._made)

    async def tagged(self, repository: str, reference: str) -> bytes:
        stated = self._made[reference]
        named = {"org.opencontainers.image.created": stated} if stated is not None else {}
        return image(tag=reference, **named).content

    async def small_blob(self, repository: str, digest: str) -> bytes | None:
        return BLOB_BYTES


async def adopt(house: InProcess, database: Database, before: Before) -> None:
    adoption = Adoption(contents=before, pushes=house.pushes, database=database, name=HOST, now=house.clock)
    outcome = await adoption.run((), say=lambda _: None)
    assert outcome.refused == []


async def test_after_an_import_latest_is_what_was_made_last(house: InProcess, database: Database) -> None:
    catalog = Catalog(database=database, name=HOST)
    await adopt(house, database, Before(**{
        "1_0": "2020-01-01T00:00:00Z", "1_10": "2022-01-01T00:00:00Z", "1_9": "2021-01-01T00:00:00Z",
    }))  # fmt: skip
    tags = await catalog.tags_of(str(APP))
    assert [one["name"] for one in tags] == ["1.0", "1.9", "1.10"]
    assert max(tags, key=lambda one: str(one["created"]))["name"] == "1.10", "as Pier One's client asks"
    assert (await catalog.tag_map(str(APP)))["latest"] == (await catalog.tag_map(str(APP)))["1.10"]
    await house.pushes.push(APP, "0.1", image(pushed="now"), ADA)
    assert await latest(catalog) == image(pushed="now").digest


async def test_an_import_beside_pushes_takes_latest_from_none_of_them(house: InProcess, database: Database) -> None:
    await house.pushes.push(APP, "3.0", image(pushed="now"), ADA)
    await adopt(house, database, Before(**{"1_0": "2020-01-01T00:00:00Z", "9_0": None}))
    assert await latest(Catalog(database=database, name=HOST)) == image(pushed="now").digest


async def test_reproducible_images_are_ordered_by_their_versions(house: InProcess, database: Database) -> None:
    await adopt(house, database, Before(**dict.fromkeys(("1_10", "1_9", "1_2"), "1970-01-01T00:00:00Z")))
    tags = await Catalog(database=database, name=HOST).tags_of(str(APP))
    assert [one["name"] for one in tags] == ["1.2", "1.9", "1.10"]
