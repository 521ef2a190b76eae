"""Running instances by package, on both databases: by the machine if its agent states it, else by its image."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.image_builder import AMI, OPENSSL_NEW, OPENSSL_OLD, REGION, ImageBuilder, deb, pypi
from fakes.in_process import SILENT_AFTER_SECONDS, InProcess
from whence_aggregator.amis.package_query import PackageQuery
from whence_aggregator.amis.package_search import VERSIONS_MAX, PackagePage, PackageSearch, WantedPackage
from whence_aggregator.amis.recording import AmiRecording
from whence_aggregator.amis.submission import parse_submission
from whence_aggregator.ports import Conflict
from whence_common.ami_facts import AmiFacts, PackageFacts
from whence_common.errors import InputError

BUILDER = ImageBuilder()
FIXED_AMI, BARE_AMI = "ami-00000000000000002", "ami-00000000000000003"
OLD, FIXED, UPGRADED, BARE = (f"i-{number:017x}" for number in range(1, 5))
VULNERABLE = "openssl<3.0.17"


async def record(house: InProcess, *packages: Any, image_id: str = AMI, region: str = REGION) -> str:
    content = BUILDER.submission(BUILDER.payload(*packages), (region, image_id))
    submitted = parse_submission(content, [BUILDER.trusted])
    return (
        await AmiRecording(ledger=house.ledger, now=house.clock).record(
            submitted, recorded_by="ci", allowed=lambda _: True
        )
    ).digest


async def search(
    house: InProcess, package: str, *, limit: int = 100, after: str = "",
    trusted: tuple[tuple[str, str], ...] = (BUILDER.pair,), **filters: Any,
) -> PackagePage:  # fmt: skip
    found = PackageSearch(
        database=house.database, listening=house.listening, search=house.search, trusted=frozenset(trusted)
    )
    wanted = WantedPackage(package=PackageQuery.parse(package), **filters)
    return await found.instances(wanted, after=after, limit=limit)


async def known(house: InProcess, package: str, **filters: Any) -> dict[str, Any]:
    found = (await search(house, package, **filters)).known
    assert found is not None
    return found


async def ids(house: InProcess, package: str, **filters: Any) -> list[str]:
    return [one["instance_id"] for one in (await search(house, package, **filters)).instances]


async def run(house: InProcess, instance_id: str, image_id: str = AMI, **changes: Any) -> None:
    machine = await house.machine(instance_id, imageId=image_id)
    await house.say(machine, **changes)


def stating(digest: str, *differences: tuple[str, str], **changes: Any) -> dict[str, Any]:
    listed = [
        PackageFacts(name=name, architecture="amd64", image="?", machine=version) for name, version in differences
    ]
    facts = {"statement_digest": digest, "name": "whence-1.2", "differing": len(listed), **changes}
    return {"ami": AmiFacts(differences=listed, **facts)}


async def test_an_instance_is_found_by_the_version_in_its_image(house: InProcess) -> None:
    digest = await record(house)
    await record(house, deb("openssl", OPENSSL_NEW), image_id=FIXED_AMI)
    await run(house, OLD)
    await run(house, FIXED, FIXED_AMI)
    page = await search(house, VULNERABLE)
    (found,) = page.instances
    assert (found["instance_id"], found["image_id"]) == (OLD, AMI)
    assert found["package"] == {"version": OPENSSL_OLD, "stated_by": "image", "statement": digest}
    assert found["application_id"] == "greeter"
    assert await ids(house, "openssl") == [OLD, FIXED]
    assert await ids(house, f"openssl={OPENSSL_NEW}") == [FIXED]
    assert await ids(house, "openssl>=3.0.16-1") == [FIXED], "the tilde sorts before the version"
    assert await ids(house, "pypi/aiohttp<3.15") == [OLD]
    assert await ids(house, "pypi/openssl") == []
    assert await ids(house, "vim<2:9.1") == [OLD]
    assert await known(house, VULNERABLE) == {
        "instances": 2,
        "known": 2,
        "known_by_image_alone": 2,
        "unknown": 0,
        "reasons": {},
        "versions": 2,
    }


async def test_an_instance_that_upgraded_since_is_judged_by_its_real_version(house: InProcess) -> None:
    digest = await record(house)
    await run(house, UPGRADED, **stating(digest, ("openssl", OPENSSL_NEW)))
    assert await ids(house, VULNERABLE) == []
    (found,) = (await search(house, f"openssl>{OPENSSL_OLD}")).instances
    assert found["package"] == {"version": OPENSSL_NEW, "stated_by": "machine", "statement": digest}
    assert await ids(house, "vim") == [UPGRADED], "what does not differ is as in the image"
    assert (await known(house, VULNERABLE))["known_by_image_alone"] == 0


async def test_an_instance_that_went_back_to_an_older_version_is_found(house: InProcess) -> None:
    digest = await record(house, deb("openssl", OPENSSL_NEW))
    await run(house, OLD, **stating(digest, ("openssl", OPENSSL_OLD)))
    assert await ids(house, VULNERABLE) == [OLD]


async def test_a_package_that_was_removed_or_added_since_counts_as_it_is_on_the_machine(house: InProcess) -> None:
    digest = await record(house)
    await run(house, OLD, **stating(digest, ("openssl", ""), ("nginx", "1.22.1-9")))
    assert await ids(house, "openssl") == []
    assert await ids(house, "nginx") == [OLD]


async def test_only_the_newest_statement_of_an_instance_counts(house: InProcess) -> None:
    digest = await record(house)
    machine = await house.machine(OLD)
    await house.say(machine, **stating(digest, ("openssl", OPENSSL_NEW)))
    assert await ids(house, VULNERABLE) == []
    await house.say(machine, cause="change", **stating(digest))
    assert await ids(house, VULNERABLE) == [OLD]
    await house.say(machine, cause="change", **stating(digest, ("openssl", OPENSSL_NEW)))
    await house.say(machine, cause="change")
    assert await ids(house, VULNERABLE) == [OLD], "an agent that states nothing more is judged by the image"


async def test_an_instance_whose_image_has_no_statement_is_unknown_and_not_safe(house: InProcess) -> None:
    await record(house)
    await record(house, image_id=BARE_AMI, region="us-east-1")
    await run(house, OLD)
    await run(house, BARE, BARE_AMI)
    page = await search(house, VULNERABLE)
    assert [one["instance_id"] for one in page.instances] == [OLD]
    assert page.known == {
        "instances": 2, "known": 1, "known_by_image_alone": 1, "unknown": 1,
        "reasons": {"no statement about the AMI is recorded": 1}, "versions": 1,
    }  # fmt: skip
    (unknown,) = (await search(house, VULNERABLE, unknown=True)).instances
    assert (unknown["instance_id"], unknown["package"]) == (
        BARE, {"reason": "no statement about the AMI is recorded"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unread": "the file is damaged"}, "the agent does not state all packages that differ from the image"),
        ({"differing": 500}, "the agent does not state all packages that differ from the image"),
        (
            {"statement_digest": "sha256:" + "0" * 64},
            "the agent states another statement than the AMI was recorded with",
        ),
    ],
)
async def test_an_agent_that_states_less_than_everything_makes_the_version_unknown(
    house: InProcess, changes: dict[str, Any], reason: str
) -> None:
    digest = await record(house)
    stated = stating(digest, ("vim", "2:9.1-1"))
    facts = {name: getattr(stated["ami"], name) for name in ("statement_digest", "name", "differing", "differences")}
    await run(house, OLD, ami=AmiFacts(**{**facts, **changes}))
    page = await search(house, VULNERABLE)
    assert page.instances == []
    assert (await known(house, VULNERABLE))["reasons"] == {reason: 1}
    assert await ids(house, VULNERABLE, unknown=True) == [OLD]
    assert await ids(house, "vim>2:9.0.2000") == [OLD], "what the agent states of the machine itself is known"


async def test_an_instance_of_a_copy_that_nobody_named_is_judged_by_the_image_that_its_agent_states(
    house: InProcess,
) -> None:
    digest = await record(house, image_id=FIXED_AMI)
    await run(house, OLD, BARE_AMI, **stating(digest, ("vim", "2:9.1-1")))
    await run(house, UPGRADED, BARE_AMI, **stating(digest, ("openssl", OPENSSL_NEW)))
    await run(house, BARE, BARE_AMI, **stating("sha256:" + "0" * 64))
    (found,) = (await search(house, VULNERABLE)).instances
    assert found["instance_id"] == OLD
    assert found["package"] == {"version": OPENSSL_OLD, "stated_by": "image", "statement": digest}
    assert await ids(house, VULNERABLE, unknown=True) == [BARE]
    assert (await known(house, VULNERABLE))["reasons"] == {"no statement about the AMI is recorded": 1}
    assert await ids(house, "aiohttp") == []
    assert await ids(house, "pypi/aiohttp") == [OLD, UPGRADED]


async def test_a_version_that_is_not_one_is_unknown(house: InProcess) -> None:
    digest = await record(house, deb("openssl", "latest"))
    await run(house, OLD)
    assert await ids(house, VULNERABLE) == []
    page = await search(house, VULNERABLE, unknown=True)
    assert [one["package"] for one in page.instances] == [{"reason": "the version cannot be compared"}]
    assert await ids(house, "openssl") == [OLD]
    await run(house, UPGRADED, **stating(digest, ("openssl", "newest")))
    assert await ids(house, VULNERABLE, unknown=True) == [OLD, UPGRADED]


async def test_an_ami_with_two_statements_is_found_if_either_matches(house: InProcess) -> None:
    await record(house)
    await record(house, deb("openssl", OPENSSL_NEW))
    await run(house, OLD)
    assert await ids(house, VULNERABLE) == [OLD]


async def test_an_instance_that_ended_is_not_listed(house: InProcess) -> None:
    await record(house)
    await run(house, OLD)
    assert await ids(house, VULNERABLE) == [OLD]
    house.ec2.listed = {OLD: ("terminated", "2026-11-22T11:59:59.000Z")}
    await house.inventory.collect(f"123456789012/{REGION}")
    page = await search(house, VULNERABLE)
    assert page.instances == []
    assert (await known(house, VULNERABLE))["instances"] == 0


async def test_a_running_instance_whose_agent_is_silent_is_unknown_and_still_found_as_it_was(house: InProcess) -> None:
    digest = await record(house)
    await run(house, OLD, **stating(digest))
    await run(house, UPGRADED, **stating(digest, ("openssl", OPENSSL_NEW)))
    house.ec2.listed = dict.fromkeys((OLD, UPGRADED), ("running", "2026-11-22T11:59:59.000Z"))
    await house.inventory.collect(f"123456789012/{REGION}")
    assert (await known(house, VULNERABLE))["unknown"] == 0
    house.clock.advance(SILENT_AFTER_SECONDS + 1)
    assert (await known(house, VULNERABLE))["reasons"] == {"the agent is silent": 2}
    assert await ids(house, VULNERABLE) == [OLD]
    unknown = (await search(house, VULNERABLE, unknown=True)).instances
    assert [(one["instance_id"], one["heard"]) for one in unknown] == [(OLD, "silent"), (UPGRADED, "silent")]
    assert unknown[0]["seen_at"] == "2026-11-22T12:00:00.000Z"


async def test_an_instance_whose_agent_never_stated_anything_is_counted_as_unknown(house: InProcess) -> None:
    await record(house)
    await run(house, OLD)
    house.ec2.listed = dict.fromkeys((OLD, BARE), ("running", "2026-11-22T11:59:59.000Z"))
    await house.inventory.collect(f"123456789012/{REGION}")
    reason = "EC2 lists the instance, and its agent has stated nothing yet"
    found = await known(house, VULNERABLE)
    assert (found["instances"], found["known"], found["reasons"]) == (2, 1, {reason: 1})
    assert (await known(house, VULNERABLE, region="us-east-1"))["instances"] == 0
    assert (await known(house, VULNERABLE, application="greeter"))["unknown"] == 0, "it is of no application yet"


async def test_a_statement_whose_key_is_not_trusted_any_more_makes_no_instance_safe(house: InProcess) -> None:
    await record(house, deb("openssl", OPENSSL_NEW))
    await run(house, FIXED)
    assert (await known(house, VULNERABLE))["unknown"] == 0
    reason = "the settings do not trust the key that signed the statement"
    page = await search(house, VULNERABLE, trusted=())
    assert page.known is not None
    assert page.known["reasons"] == {reason: 1}
    (unknown,) = (await search(house, VULNERABLE, trusted=(), unknown=True)).instances
    assert unknown["package"] == {"reason": reason}


async def test_versions_of_machines_that_ended_do_not_exhaust_what_can_be_compared(house: InProcess) -> None:
    digest = await record(house)
    many = [PackageFacts(name="openssl", architecture=f"a{one}", image="", machine=f"1.{one}") for one in range(200)]
    ended = [f"i-{number:017x}" for number in range(100, 100 + VERSIONS_MAX // 200 + 1)]
    for number, name in enumerate(ended):
        own = [PackageFacts(name=one.name, architecture=one.architecture, image="",
                            machine=f"{one.machine}.{number}") for one in many]  # fmt: skip
        await run(house, name, ami=AmiFacts(statement_digest=digest, name="whence-1.2", differing=200, differences=own))
    with pytest.raises(Conflict, match="versions"):
        await search(house, VULNERABLE)
    house.ec2.listed = dict.fromkeys(ended, ("terminated", "2026-11-22T11:59:59.000Z"))
    await house.inventory.collect(f"123456789012/{REGION}")
    await run(house, OLD)
    assert await ids(house, VULNERABLE) == [OLD]


async def test_filters_restrict_both_lists_and_the_count(house: InProcess) -> None:
    await record(house)
    await run(house, OLD)
    await run(house, BARE, BARE_AMI)
    none: tuple[dict[str, Any], ...] = (
        {"account": "999999999999"}, {"region": "us-east-1"}, {"application": "other"}, {"team": "nobody"},
    )  # fmt: skip
    some: tuple[dict[str, Any], ...] = ({"account": "123456789012"}, {"region": REGION}, {"application": "greeter"})
    for filters in none:
        page = await search(house, VULNERABLE, **filters)
        assert page.instances == []
        assert (await known(house, VULNERABLE, **filters))["instances"] == 0
        assert await ids(house, VULNERABLE, unknown=True, **filters) == []
    for filters in some:
        assert await ids(house, VULNERABLE, **filters) == [OLD]
        assert await ids(house, VULNERABLE, unknown=True, **filters) == [BARE]


async def test_pages_follow_one_another_without_gaps(house: InProcess) -> None:
    await record(house)
    expected = [f"i-{number:017x}" for number in range(1, 8)]
    for name in expected:
        await run(house, name)
    found: list[str] = []
    after, pages = "", 0
    while pages < 10:
        page = await search(house, VULNERABLE, limit=3, after=after)
        assert (page.known is not None) == (not after), "counted once"
        found += [one["instance_id"] for one in page.instances]
        pages += 1
        if page.following is None:
            break
        after = page.following
    assert (found, pages) == (expected, 3)
    with pytest.raises(InputError, match="invalid cursor"):
        await search(house, VULNERABLE, after="x")


@pytest.mark.parametrize(
    "text",
    ["", "openssl<", "<3", "open ssl<3", "openssl<<3", "openssl<latest", "Openssl<3", "npm/left-pad", "pypi/aiohttp<x y",
     "pypi/aiohttp<latest", "openssl<" + "1" * 300, "openssl\n", "openssl<3;", "a" * 300],
)  # fmt: skip
def test_a_question_that_is_not_one_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(InputError) as caught:
        PackageQuery.parse(text)
    assert "openssl<3.0.17" in caught.value.fix


@pytest.mark.parametrize(
    ("question", "matching", "incomparable"),
    [
        ("a<1:1", ["2.0"], ["latest"]),
        ("a<=1:1", ["2.0", "1:1"], ["latest"]),
        ("a=1:1", ["1:1"], ["latest"]),
        ("a>2.0", ["1:1"], ["latest"]),
        ("a", ["2.0", "1:1", "latest"], []),
    ],
)
def test_versions_match_by_dpkgs_order(question: str, matching: list[str], incomparable: list[str]) -> None:
    assert PackageQuery.parse(question).matching(["2.0", "1:1", "latest"]) == (matching, incomparable)


def test_python_versions_match_by_pythons_order() -> None:
    query = PackageQuery.parse("pypi/Charset_Normalizer<3.10")
    assert query.name == "charset-normalizer"
    assert query.matching(["3.9", "3.10rc1", "3.10", "3.2.post1", "?"]) == (["3.9", "3.10rc1", "3.2.post1"], ["?"])
    assert pypi("a", "1").purl == "pkg:pypi/a@1"
