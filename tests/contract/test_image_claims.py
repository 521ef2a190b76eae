"""What images and registries say of a source, in lineages: who counts, who contradicts whom, and tags that moved."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal

import pytest

from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, REPOSITORY, scm
from whence_aggregator.collect.handlers import AWAITED_SECONDS_MIN
from whence_aggregator.collect.image_reader import KnownBaseImages
from whence_aggregator.ports import ImageSaid
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.trace.lineage import Link
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.tracer import TraceSubject
from whence_common.digest import sha256_digest
from whence_common.image_provenance import ClaimKind, SourceClaim
from whence_common.scm_source import ScmSource
from whence_common.statement import ImageFacts, ScmSourceFacts, SourceClaimFacts, UserDataFacts

URL = "https://git.example.org/demo/greeter.git"
OTHER = "f" * 40
SCM = json.dumps({"url": f"git:{URL}", "revision": COMMIT, "author": "ada", "status": ""}).encode()


def claim(kind: ClaimKind, *, url: str = URL, commit: str = COMMIT, by: str = "", status: str = "") -> SourceClaim:
    return SourceClaim(
        kind=kind, by=by, source=ScmSource(url=url, revision=commit, author="", status=status, digest="")
    )


async def source(house: InProcess, *claims: SourceClaim, file: bytes | None = None, agent: bool = False) -> Link:
    """Have an image say this, and an agent run it; give the link `source`."""
    house.sources.says[DIGEST] = ImageSaid(scm_source=file, claims=list(claims))
    machine = await house.machine()
    await house.say(machine, scm_source=scm(digest=sha256_digest(SCM)) if agent else None)
    await house.work()
    return (await house.lineage()).link("source")


async def test_a_trusted_builders_provenance_confirms_the_source(house: InProcess) -> None:
    link = await source(house, claim("provenance", by="https://builder.example.org"))
    assert (link.state, link.value["revision"], link.value["said_by"], link.value["builder"]) == (  # type: ignore[index]  # it is there
        "confirmed", COMMIT, "provenance", "https://builder.example.org",
    )  # fmt: skip


async def test_a_provenance_pushed_after_the_boot_counts_once_it_is_read(house: InProcess) -> None:
    awaited = "a trusted builder's provenance"
    house.sources.says[DIGEST] = ImageSaid(claims=[claim("annotation")], awaited=awaited)
    await house.say(await house.machine(), scm_source=None)
    await house.work()
    assert (await house.lineage()).link("source").state == "asserted"
    (task,) = await house.database.fetch(TASKS_OF_KIND.bind({"kind": "image-source"}))
    assert task["reason"] == f"awaits {awaited}"
    house.sources.says[DIGEST] = ImageSaid(claims=[claim("annotation"), claim("provenance", by="b")])
    house.clock.advance(AWAITED_SECONDS_MIN)
    await house.work()
    assert (await house.lineage()).link("source").state == "confirmed"
    assert await house.database.fetch(TASKS_OF_KIND.bind({"kind": "image-source"})) == []


@pytest.mark.parametrize("kind", ["annotation", "index-annotation", "label", "label-schema", "buildkit"])
async def test_an_images_own_claim_is_asserted(house: InProcess, kind: ClaimKind) -> None:
    link = await source(house, claim(kind))
    assert (link.state, link.value["said_by"]) == ("asserted", kind)  # type: ignore[index]  # it is there


async def test_the_same_source_in_another_form_contradicts_nothing(house: InProcess) -> None:
    link = await source(
        house,
        claim("provenance", url="https://git.example.org/demo/greeter", by="b"),
        claim("annotation", url="git@git.example.org:demo/greeter.git"),
        claim("label", url="ssh://git@git.example.org/Demo/Greeter.git"),
        file=SCM,
        agent=True,
    )
    assert link.state == "confirmed"


@pytest.mark.parametrize(
    "other",
    [
        claim("annotation", commit=OTHER),
        claim("label", url="https://git.example.org/other/thing"),
        claim("buildkit", commit=OTHER),
    ],
)
async def test_a_disagreement_shows_both_sides(house: InProcess, other: SourceClaim) -> None:
    link = await source(house, claim("provenance", by="b"), other)
    assert link.state == "contradicted"
    assert link.value is not None
    assert [one["kind"] for one in link.value["claims"]] == ["provenance", other.kind]
    assert str(link.reason).startswith(f"provenance of b states {COMMIT}")
    assert other.kind in str(link.reason)


async def test_the_file_and_the_builder_may_disagree_too(house: InProcess) -> None:
    link = await source(house, claim("provenance", commit=OTHER, by="b"), file=SCM, agent=True)
    assert link.state == "contradicted"
    lineage = await house.lineage()
    assert lineage.link("commit").value["commit"] == OTHER  # type: ignore[index]  # the builder's word counts


async def test_a_tree_with_a_claim_of_uncommitted_changes_is_dirty(house: InProcess) -> None:
    link = await source(house, claim("provenance", by="b", status="modified"))
    assert link.value["dirty"] is True  # type: ignore[index]  # it is there
    assert "uncommitted changes" in str(link.reason)


async def test_what_is_the_base_images_is_not_the_images_own(house: InProcess) -> None:
    """Also when the agent has read the very file: it is there, but it says where the base is from."""
    note = f"/scm-source.json is that of the base image sha256:{'b' * 64}, not this image's own"
    house.sources.says[DIGEST] = ImageSaid(inherited=f"sha256:{'b' * 64}", notes=[note])
    machine = await house.machine()
    await house.say(machine, scm_source=scm(digest=sha256_digest(SCM)))
    await house.work()
    link = (await house.lineage()).link("source")
    assert (link.state, link.value, link.reason) == ("missing", None, note)


async def test_an_image_that_was_not_read_whole_has_an_unknown_source(house: InProcess) -> None:
    house.sources.says[DIGEST] = ImageSaid(unknown=["one envelope is too large"], signer_known=False)
    machine = await house.machine()
    await house.say(machine, scm_source=ScmSourceFacts(status="missing", reason="the image has no file"))
    await house.work()
    lineage = await house.lineage()
    link = lineage.link("source")
    assert (link.state, link.reason) == ("unknown", "one envelope is too large")
    assert lineage.link("image").state == "confirmed"


def labelled(*, url: str = URL, kind: Literal["label", "annotation"] = "label") -> ScmSourceFacts:
    """Give what the agent reads of an image as GitHub Actions builds it: no file, but labels or annotations."""
    stated = SourceClaimFacts(kind=kind, url=url, revision=COMMIT, maybe_inherited=kind == "label")
    return ScmSourceFacts(status="missing", reason="the image has no file", claims=[stated])


@pytest.mark.parametrize("kind", ["label", "annotation"])
async def test_an_image_built_elsewhere_traces_by_what_the_agent_read(
    house: InProcess, kind: Literal["label", "annotation"]
) -> None:
    """The registry is never reached: the agent's reading is all there is."""
    await house.say(await house.machine(), scm_source=labelled(kind=kind))
    await house.work()
    lineage = await house.lineage()
    link = lineage.link("source")
    assert (link.state, link.value["said_by"], link.value["revision"]) == ("asserted", kind, COMMIT)  # type: ignore[index]  # it is there
    assert lineage.link("commit").value["commit"] == COMMIT  # type: ignore[index]  # it is there
    found, _ = await house.tracer.matching(TraceSubject(kind="commit", value=COMMIT), moment=NOW, after="", limit=10)
    assert [one.instance_id for one in found] == ["i-0123456789abcdef0"]


async def test_a_label_that_fits_the_registered_repository_counts_and_another_is_not_believed(house: InProcess) -> None:
    await house.register(scm_url="git@git.example.org:demo/greeter.git")
    await house.say(await house.machine(), scm_source=labelled())
    await house.work()
    assert await house.state("source") == "asserted"
    await house.register(scm_url="https://git.example.org/demo/another")
    link = (await house.lineage()).link("source")
    assert (link.state, link.value) == ("unknown", None)
    assert "not the application's registered repository" in str(link.reason)


async def test_a_known_image_is_found_by_its_layers_and_its_commit(house: InProcess) -> None:
    chains = [f"sha256:{letter * 64}" for letter in "ab"]
    house.sources.says[DIGEST] = ImageSaid(claims=[claim("label")], chains=chains)
    await house.say(await house.machine(), scm_source=None)
    await house.work()
    bases = KnownBaseImages(house.database)
    assert await bases.base_with_commit(["sha256:" + "c" * 64, *chains], COMMIT) == DIGEST
    assert await bases.base_with_commit(chains, OTHER) is None
    assert await bases.base_with_commit(chains[:1], COMMIT) is None


async def test_a_label_that_may_be_inherited_contradicts_nothing(house: InProcess) -> None:
    other = replace(claim("label", url="https://git.example.org/base/os", commit=OTHER), maybe_inherited=True)
    link = await source(house, claim("provenance", by="b"), other)
    assert link.state == "confirmed"


async def test_a_commit_is_traced_back_through_each_kind_of_claim(house: InProcess) -> None:
    await source(house, claim("provenance", by="b"))
    found, _ = await house.tracer.matching(TraceSubject(kind="commit", value=COMMIT), moment=NOW, after="", limit=10)
    assert [one.instance_id for one in found] == ["i-0123456789abcdef0"]


def image(digest: str, tag: str = "1.0", pinned: str = "") -> ImageFacts:
    return ImageFacts(source=f"{REPOSITORY}:{tag}{pinned}", repository=REPOSITORY, digest=digest)


async def runs(house: InProcess, name: str, facts: ImageFacts, user_data: str) -> None:
    machine = await house.machine(name)
    digest = sha256_digest(user_data.encode())
    await house.say(machine, image=facts, containers=[], user_data=UserDataFacts(digest=digest, document={}))


async def test_a_tag_seen_moving_is_in_every_lineage_through_it_for_ever(house: InProcess) -> None:
    first, second = DIGEST, "sha256:" + "9" * 64
    await runs(house, "i-00000000000000001", image(first), "one")
    assert (await house.lineage("i-00000000000000001")).link("image").state != "contradicted"
    await runs(house, "i-00000000000000002", image(second), "two")
    await runs(house, "i-00000000000000003", image(first, "2.0"), "three")
    await runs(house, "i-00000000000000004", image(second, pinned=f"@{second}"), "four")
    for name in ("i-00000000000000001", "i-00000000000000002"):
        link = (await house.lineage(name)).link("image")
        assert link.state == "contradicted"
        assert link.reason == f"the tag has moved: {REPOSITORY}:1.0 pointed to 2 different images"
        assert link.value["tag_digests"] == [first, second]  # type: ignore[index]  # it is there
    for name in ("i-00000000000000003", "i-00000000000000004"):
        assert (await house.lineage(name)).link("image").state != "contradicted"


async def test_a_tag_that_moves_in_its_registry_is_seen_without_any_boot(house: InProcess) -> None:
    house.sources.tags[f"{REPOSITORY}:1.0"] = DIGEST
    await runs(house, "i-00000000000000001", image(DIGEST), "one")
    await house.work()
    assert (await house.lineage("i-00000000000000001")).link("image").state != "contradicted"
    facts = [one.content for one in await house.entries("fact")]
    house.clock.advance(86_401)
    await house.work()
    assert [one.content for one in await house.entries("fact")] == facts, "the same again is not a new entry"
    house.sources.tags[f"{REPOSITORY}:1.0"] = "sha256:" + "9" * 64
    house.clock.advance(86_401)
    await house.work()
    house.sources.tags.clear()
    house.clock.advance(86_401)
    await house.work()
    link = (await house.lineage("i-00000000000000001")).link("image")
    assert link.state == "contradicted"
    assert link.value["tag_digests"] == [DIGEST, "sha256:" + "9" * 64]  # type: ignore[index]  # it is there


async def test_an_agent_and_a_registry_that_disagree_about_the_signer_are_shown(house: InProcess) -> None:
    house.sources.says[DIGEST] = ImageSaid(scm_source=SCM, signed_by="b" * 64)
    machine = await house.machine()
    facts = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=DIGEST, signed_by="a" * 64)
    await house.say(machine, image=facts)
    await house.work()
    link = (await house.lineage()).link("image")
    assert link.state == "contradicted"
    assert "different signers" in str(link.reason)
