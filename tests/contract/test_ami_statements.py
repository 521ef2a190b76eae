"""Statements about AMIs, on both databases: what is accepted, what a lineage rests on, and what is never confirmed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fakes.auditor import checked, dumped
from fakes.image_builder import AMI, BUILDER_ID, OPENSSL_NEW, REGION, ImageBuilder, deb
from fakes.in_process import InProcess, NewestLog
from whence_aggregator.amis.listing import KnownAmis
from whence_aggregator.amis.recording import AmiRecording, RecordedAmi
from whence_aggregator.amis.submission import parse_submission
from whence_aggregator.ports import DescribedImage, NotFound
from whence_aggregator.queries.compliance import UNJUDGED
from whence_aggregator.trace.lineage import Link
from whence_aggregator.trace.tracer import Tracer
from whence_common.ami_facts import AmiFacts, PackageFacts
from whence_common.ami_provenance import STATEMENT_BYTES_MAX, AmiPackage
from whence_common.digest import sha256_digest
from whence_common.installed_packages import PACKAGES_MAX

ONE = "i-00000000000000001"
BUILDER = ImageBuilder()
HERE = (REGION, AMI)


async def record(house: InProcess, content: bytes, *builders: ImageBuilder) -> RecordedAmi:
    submitted = parse_submission(content, [one.trusted for one in builders or (BUILDER,)])
    return await AmiRecording(ledger=house.ledger, now=house.clock).record(
        submitted, recorded_by="ci", allowed=lambda _: True
    )


async def link(house: InProcess, *trusted: ImageBuilder, known_at: str | None = None) -> Link:
    """Return the link `ami` of the instance, by a tracer that trusts these builders, or ours."""
    tracer = Tracer(
        database=house.database, search=house.search, log=NewestLog(house.ledger), now=house.clock,
        listening=house.listening, ami_builders=frozenset(one.pair for one in trusted or (BUILDER,)),
    )  # fmt: skip
    moment = await tracer.moments.of(known_at, known_at)
    return (await tracer.instance(ONE, moment=moment)).link("ami")


def stating(digest: str, *differences: PackageFacts, **changes: Any) -> dict[str, Any]:
    facts = {"statement_digest": digest, "name": "whence-1.2", "differing": len(differences), **changes}
    return {"ami": AmiFacts(differences=list(differences), **facts)}


async def test_without_a_statement_the_link_is_about_the_id_alone(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    found = await link(house)
    assert (found.state, found.value) == ("confirmed", {"image_id": AMI})
    assert [one.source for one in found.evidence] == ["aws-signature"]


async def test_a_trusted_builders_statement_leads_from_the_instance_to_commit_and_packages(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    found = await link(house)
    assert found.state == "confirmed"
    assert found.value is not None
    stated = found.value["statement"]
    assert (stated["commit"], stated["builder_id"], stated["packages"]) == ("5a" * 20, BUILDER_ID, 3)
    assert (stated["digest"], stated["recorded_by"]) == (recorded.digest, "ci")
    assert [one.source for one in found.evidence] == ["aws-signature", "builder"]
    assert found.evidence[1].ledger_index == recorded.index


async def test_a_statement_that_is_sent_again_adds_nothing(house: InProcess) -> None:
    content = BUILDER.submission(BUILDER.payload(), HERE)
    first = await record(house, content)
    again = await record(house, content)
    signed_again = await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    assert (first.is_new, again.is_new, signed_again.is_new) == (True, False, False)
    assert first.index == again.index == signed_again.index
    assert len(await house.entries("ami-statement")) == 1


async def test_copies_of_the_image_in_other_regions_are_added_later_by_the_digest(house: InProcess) -> None:
    first = await record(house, BUILDER.submission(BUILDER.payload()))
    assert first.amis == []
    await house.say(await house.machine(ONE))
    assert (await link(house)).value == {"image_id": AMI}
    more = await record(house, BUILDER.submission(first.digest, HERE, ("us-east-1", "ami-0123456789abcdef0")))
    assert more.is_new
    assert more.index == first.index
    assert [(one.region, one.image_id) for one in more.amis] == [HERE, ("us-east-1", "ami-0123456789abcdef0")]
    assert (await link(house)).value["statement"]["digest"] == first.digest  # type: ignore[index]
    assert not (await record(house, BUILDER.submission(first.digest, HERE))).is_new
    bodies = [json.loads(one.content or b"") for one in await house.entries("ami-statement")]
    assert [one["envelope"] is None for one in bodies] == [False, True]


async def test_an_ami_of_the_same_id_in_another_region_is_another_one(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    await record(house, BUILDER.submission(BUILDER.payload(), ("eu-west-1", AMI)))
    assert (await link(house)).value == {"image_id": AMI}


async def test_statements_of_two_amis_with_one_id_in_two_regions_do_not_contradict_each_other(
    house: InProcess,
) -> None:
    await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    other = await record(house, BUILDER.submission(BUILDER.payload(deb("openssl", "1")), ("eu-west-1", AMI)))
    assert other.contradicts == []
    shown = await KnownAmis(database=house.database, trusted=frozenset({BUILDER.pair})).one(AMI)
    assert (shown["state"], len(shown["statements"])) == ("confirmed", 2)


async def test_a_digest_that_is_not_recorded_is_not_found(house: InProcess) -> None:
    with pytest.raises(NotFound, match="statement not found"):
        await record(house, BUILDER.submission("sha256:" + "0" * 64, HERE))
    assert await house.entries("ami-statement") == []


async def test_a_second_statement_about_an_ami_makes_it_contradicted_and_both_are_shown(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    first = await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    second = await record(house, BUILDER.submission(BUILDER.payload(deb("openssl", OPENSSL_NEW)), HERE))
    assert [digest for _, digest in second.contradicts] == [first.digest]
    found = await link(house)
    assert found.state == "contradicted"
    assert found.value is not None
    assert {one["digest"] for one in found.value["statements"]} == {first.digest, second.digest}
    assert "statement" not in found.value
    shown = await KnownAmis(database=house.database, trusted=frozenset({BUILDER.pair})).one(AMI)
    assert shown["state"] == "contradicted"
    with pytest.raises(NotFound, match="several statements name it"):
        await KnownAmis(database=house.database, trusted=frozenset()).packages(AMI, after="", limit=10)


async def test_instances_of_an_ami_are_judged_again_when_a_statement_names_it(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    await house.work()
    await house.evaluator.sweep()
    assert await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 10})) == []
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), ("us-east-1", AMI.replace("1", "2"))))
    assert await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 10})) == []
    await record(house, BUILDER.submission(recorded.digest, HERE))
    (row,) = await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 10}))
    assert row["instance_id"] == ONE


async def test_an_agent_that_states_another_statement_contradicts_the_ami(house: InProcess) -> None:
    await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    other = "sha256:" + "0" * 64
    await house.say(await house.machine(ONE), **stating(other))
    found = await link(house)
    assert found.state == "contradicted"
    assert (found.reason or "").startswith(f"the agent states the statement {other}")


async def test_an_agent_that_states_the_same_statement_is_further_evidence(house: InProcess) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    await house.say(await house.machine(ONE), **stating(recorded.digest, packages_digest="sha256:" + "1" * 64))
    found = await link(house)
    assert found.state == "confirmed"
    assert [one.source for one in found.evidence] == ["aws-signature", "builder", "agent"]
    assert found.value is not None
    assert found.value["machine"]["differing"] == 0


async def test_an_agents_image_without_a_recorded_statement_is_a_gap_with_a_reason(house: InProcess) -> None:
    await house.say(await house.machine(ONE), **stating("sha256:" + "1" * 64))
    assert (await link(house)).reason == "no statement about this AMI is recorded"


@pytest.mark.parametrize("agrees", [True, False])
async def test_the_tag_of_the_ami_in_ec2_is_compared(house: InProcess, agrees: bool) -> None:
    await house.say(await house.machine(ONE))
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    tag = recorded.digest if agrees else "sha256:" + "9" * 64
    await tagged(house, tag)
    found = await link(house)
    assert found.state == ("confirmed" if agrees else "contradicted")
    assert "ec2-api" in [one.source for one in found.evidence]


async def test_a_builder_that_is_no_longer_trusted_does_not_confirm(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    found = await link(house, ImageBuilder())
    assert found.state == "asserted"
    assert "do not trust the builder" in (found.reason or "")
    same_id = ImageBuilder(BUILDER_ID)
    assert (await link(house, same_id)).state == "asserted", "another key of the same name is another builder"
    shown = await KnownAmis(database=house.database, trusted=frozenset({same_id.pair})).one(AMI)
    assert (shown["state"], shown["statements"][0]["trusted"]) == ("asserted", False)


async def test_what_was_recorded_later_does_not_count_before(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    house.clock.advance(3600)
    await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    assert (await link(house, known_at="2026-11-22T12:30:00Z")).value == {"image_id": AMI}
    assert (await link(house)).value != {"image_id": AMI}


async def test_packages_are_listed_page_by_page_with_their_origins(house: InProcess) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    known = KnownAmis(database=house.database, trusted=frozenset({BUILDER.pair}))
    first, following, digest = await known.packages(AMI, after="", limit=2)
    assert [one["name"] for one in first] == ["openssl", "vim"]
    assert (first[0]["origin"], first[0]["suite"], digest) == ("Debian", "oldstable", recorded.digest)
    assert following is not None
    rest, end, _ = await known.packages(AMI, after=following, limit=2)
    assert [(one["system"], one["name"], one["origin"]) for one in rest] == [("pypi", "aiohttp", "unknown")]
    assert end is None


async def test_an_ami_is_shown_with_its_instances_also_without_a_statement(house: InProcess) -> None:
    known = KnownAmis(database=house.database, trusted=frozenset({BUILDER.pair}))
    with pytest.raises(NotFound, match=f"no statement and no instance names {AMI}"):
        await known.one(AMI)
    await house.say(await house.machine(ONE))
    shown = await known.one(AMI)
    assert (shown["state"], shown["statements"], shown["instances"]) == ("missing", [], 1)
    with pytest.raises(NotFound, match="no statement names it"):
        await known.packages(AMI, after="", limit=1)
    await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    shown = await known.one(AMI)
    assert (shown["state"], shown["regions"]) == ("confirmed", {REGION: 1})
    assert sha256_digest(BUILDER.payload()) == shown["statements"][0]["digest"]


async def test_an_ami_is_shown_with_what_its_agents_state_and_on_how_many_machines_packages_differ(
    house: InProcess,
) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    changed = PackageFacts(name="openssl", architecture="amd64", image="1", machine="2")
    await house.say(await house.machine(ONE), **stating(recorded.digest))
    await house.say(await house.machine("i-00000000000000002"), **stating(recorded.digest, changed))
    await house.say(await house.machine("i-00000000000000003"), **stating("sha256:" + "0" * 64))
    await house.say(await house.machine("i-00000000000000004"))
    shown = await KnownAmis(database=house.database, trusted=frozenset({BUILDER.pair})).one(AMI)
    assert shown["instances"] == 4
    assert sorted(shown["agents"], key=lambda one: int(one["instances"])) == [
        {"digest": "sha256:" + "0" * 64, "instances": 1, "changed": 0},
        {"digest": recorded.digest, "instances": 2, "changed": 1},
    ]


async def test_the_tables_are_derived_again_alike(house: InProcess, tmp_path: Path) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    await record(house, BUILDER.submission(recorded.digest, ("us-east-1", AMI)))
    machine = await house.machine(ONE)
    changed = PackageFacts(name="openssl", architecture="amd64", image="1", machine=OPENSSL_NEW)
    gone = PackageFacts(name="vim", architecture="amd64", image="1", machine="")
    await house.say(machine, **stating(recorded.digest, changed, gone))
    await house.say(machine, cause="change", **stating(recorded.digest, changed))
    rows = await dumped(house.database)
    assert [(one["name"], one["version"]) for one in rows["instance_package"]] == [("openssl", OPENSSL_NEW)]
    assert len(rows["ami_package"]) == 3
    assert len(rows["ami_named"]) == 2
    assert (await checked(house, tmp_path)).findings == []


async def test_what_a_hostile_agent_states_of_packages_is_left_out_and_counts_as_not_stated(house: InProcess) -> None:
    hostile = [
        PackageFacts(name="../x", architecture="amd64", image="1", machine="2"),
        PackageFacts(name="openssl", architecture="a b", image="1", machine="2"),
        PackageFacts(name="openssl", architecture="amd64", image="1", machine="2\n3"),
        *(PackageFacts(name=f"p{number}", architecture="all", image="", machine="1") for number in range(2_000)),
    ]
    facts = stating("sha256:" + "1" * 64, *hostile, unread="x" * 9_999, differing=-5)
    await house.say(await house.machine(ONE), **facts)
    rows = await dumped(house.database)
    (image,) = rows["instance_image"]
    assert (image["differing"], image["listed"], len(str(image["unread"]))) == (2_003, 197, 300)
    await house.say(await house.machine("i-00000000000000002"), **stating("not a digest"))
    assert len((await dumped(house.database))["instance_image"]) == 1


async def tagged(house: InProcess, tag: str) -> None:
    """Have EC2 list the instance, and its AMI with a tag."""
    await listed(house, DescribedImage(name="copied", owner="1", tags={"whence:statement": tag}))


async def listed(house: InProcess, ami: DescribedImage) -> None:
    """Have EC2 list the instance, and describe its AMI."""
    house.ec2.listed = {ONE: ("running", "2026-11-22T11:59:59.000Z")}
    house.ec2.details = {ONE: {"image_id": AMI, "key_name": ""}}
    house.ec2.amis[AMI] = ami
    await house.inventory.collect(f"123456789012/{REGION}")
    await house.work()


SOURCE = ("us-east-1", "ami-0123456789abcdef0")


async def copied(house: InProcess, source: tuple[str, str] = SOURCE, *, tag: str | None = None) -> None:
    """Have EC2 state that the AMI of the instance is a copy."""
    region, image_id = source
    place, tags = {"region": region, "image_id": image_id}, {"whence:statement": tag} if tag else {}
    await listed(house, DescribedImage(name="copy", owner="1", copied_from=place, tags=tags))


async def test_a_copy_without_a_tag_leads_to_the_statement_of_its_source_and_is_asserted(house: InProcess) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), SOURCE))
    await house.say(await house.machine(ONE))
    await copied(house)
    found = await link(house)
    assert found.state == "asserted"
    assert found.reason == (
        "EC2 states that the AMI was copied from ami-0123456789abcdef0 in us-east-1: name it with whence attest --ami"
    )
    assert found.value is not None
    assert found.value["statement"]["digest"] == recorded.digest
    assert found.value["copied_from"] == {"region": "us-east-1", "image_id": "ami-0123456789abcdef0"}
    assert [one.source for one in found.evidence] == ["aws-signature", "builder", "ec2-api"]
    assert (await link(house, ImageBuilder())).state == "asserted"


async def test_a_copy_whose_source_and_agent_lead_to_one_statement_is_confirmed(house: InProcess) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload(), SOURCE))
    await house.say(await house.machine(ONE), **stating(recorded.digest))
    await copied(house)
    assert (await link(house)).state == "confirmed"
    assert (await link(house, ImageBuilder())).state == "asserted", "a builder that is not trusted confirms nothing"


@pytest.mark.parametrize("by", ["agent", "tag", "a second statement"])
async def test_what_states_another_statement_than_the_source_of_a_copy_contradicts_it(
    house: InProcess, by: str
) -> None:
    await record(house, BUILDER.submission(BUILDER.payload(), SOURCE))
    other = sha256_digest(BUILDER.payload(deb("openssl", OPENSSL_NEW)))
    if by == "a second statement":
        await record(house, BUILDER.submission(BUILDER.payload(deb("openssl", OPENSSL_NEW)), SOURCE))
    await house.say(await house.machine(ONE), **(stating(other) if by == "agent" else {}))
    await copied(house, tag=other if by == "tag" else None)
    assert (await link(house)).state == "contradicted"


@pytest.mark.parametrize("source", [("us-east-1", "ami-0fedcba9876543210"), ("eu-west-1", SOURCE[1])])
async def test_a_copy_of_an_ami_that_no_statement_names_is_known_by_its_id_alone(
    house: InProcess, source: tuple[str, str]
) -> None:
    await record(house, BUILDER.submission(BUILDER.payload(), SOURCE))
    await house.say(await house.machine(ONE))
    await copied(house, source)
    found = await link(house)
    assert (found.state, "statement" in (found.value or {})) == ("confirmed", False)


async def test_a_statement_about_the_copy_itself_counts_and_not_that_of_its_source(house: InProcess) -> None:
    await record(house, BUILDER.submission(BUILDER.payload(), SOURCE))
    own = await record(house, BUILDER.submission(BUILDER.payload(deb("openssl", OPENSSL_NEW)), HERE))
    await house.say(await house.machine(ONE))
    await copied(house)
    found = await link(house)
    assert (found.state, (found.value or {})["statement"]["digest"]) == ("confirmed", own.digest)


async def test_a_copy_that_nobody_named_is_known_by_its_agent_alone_and_asserted(house: InProcess) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload()))
    await house.say(await house.machine(ONE), **stating(recorded.digest))
    found = await link(house)
    assert found.state == "asserted"
    assert (found.reason or "").startswith("only the agent states that the AMI has this statement")
    assert found.value is not None
    assert found.value["statement"]["commit"] == "5a" * 20


async def test_a_copy_that_only_its_tag_names_is_asserted(house: InProcess) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload()))
    await house.say(await house.machine(ONE))
    await tagged(house, recorded.digest)
    found = await link(house)
    assert found.state == "asserted"
    assert (found.reason or "").startswith("only the tag whence:statement of the AMI in EC2 states")


async def test_a_copy_whose_tag_and_agent_agree_is_confirmed(house: InProcess) -> None:
    recorded = await record(house, BUILDER.submission(BUILDER.payload()))
    await house.say(await house.machine(ONE), **stating(recorded.digest))
    await tagged(house, recorded.digest)
    found = await link(house)
    assert found.state == "confirmed"
    assert [one.source for one in found.evidence] == ["aws-signature", "builder", "ec2-api", "agent"]
    assert (await link(house, ImageBuilder())).state == "asserted", "a builder that is not trusted confirms nothing"


async def test_a_copy_whose_tag_and_agent_name_different_statements_is_contradicted(house: InProcess) -> None:
    first = await record(house, BUILDER.submission(BUILDER.payload()))
    second = await record(house, BUILDER.submission(BUILDER.payload(deb("openssl", OPENSSL_NEW))))
    await house.say(await house.machine(ONE), **stating(first.digest))
    await tagged(house, second.digest)
    assert (await link(house)).state == "contradicted"


async def test_a_tag_with_a_statement_that_is_not_recorded_contradicts_a_recorded_one(house: InProcess) -> None:
    first = await record(house, BUILDER.submission(BUILDER.payload()))
    await house.say(await house.machine(ONE), **stating(first.digest))
    await tagged(house, "sha256:" + "9" * 64)
    found = await link(house)
    assert found.state == "contradicted"
    assert (found.reason or "").startswith("the tag whence:statement of the AMI in EC2 states the statement")


async def test_a_tag_that_is_not_a_digest_counts_for_nothing(house: InProcess) -> None:
    await record(house, BUILDER.submission(BUILDER.payload(), HERE))
    await house.say(await house.machine(ONE))
    await tagged(house, "latest")
    assert (await link(house)).state == "confirmed"


async def test_the_largest_statement_is_recorded_read_again_and_listed(house: InProcess) -> None:
    packages = [
        AmiPackage(system="deb", name=f"python3-p{number}", architecture="amd64", version=f"1.0-{number}")
        for number in range(PACKAGES_MAX)
    ]
    payload = BUILDER.payload(*packages)
    assert len(payload) > STATEMENT_BYTES_MAX // 2
    recorded = await record(house, BUILDER.submission(payload, HERE))
    (entry,) = await house.entries("ami-statement")
    document = json.loads(entry.content or b"")
    assert base64.b64decode(document["envelope"]["payload"]) == payload
    known = KnownAmis(database=house.database, trusted=frozenset({BUILDER.pair}))
    assert (await known.one(AMI))["statements"][0]["packages"] == PACKAGES_MAX
    page, following, digest = await known.packages(AMI, after="", limit=500)
    assert (len(page), digest) == (500, recorded.digest)
    assert following is not None
