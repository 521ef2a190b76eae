"""`whence check`: an image is judged before it runs, by what is recorded and by what its sources answer now."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from fakes.in_process import OTHER_ACCOUNT, InProcess
from fakes.machine import COMMIT, DIGEST
from fakes.served_house import served
from whence_aggregator.callers.caller import Caller
from whence_aggregator.findings.application_scans import ApplicationScans
from whence_aggregator.http.image_checks import ImageCheckCalls
from whence_aggregator.ports import NotFound, SourceUnavailable
from whence_aggregator.reports.image_check import ImageChecked, ImageChecks, WantedCheck
from whence_common.image_reference import ImageReference
from whence_common.ledger_entry import type_of
from whence_common.statement import ImageFacts

REPOSITORY = "registry.example.org/demo/greeter"
MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n"
SOURCE = b'{"url": "https://git.example.org/demo/greeter.git", "revision": "%s", "author": "a", "status": "%s"}'


def checks(house: InProcess, scans: ApplicationScans | None = None) -> ImageChecks:
    async def pause(_: float) -> None:
        await house.work()

    return ImageChecks(
        database=house.database, tracer=house.tracer, rules=house.rules, scans=scans, listening=house.listening,
        now=house.clock, tags=house.collectors["tag"], wake=lambda: None, pause=pause,
    )  # fmt: skip


async def check(house: InProcess, *, wait: float = 10.0, asks: bool = True, image: str = "") -> ImageChecked:
    reference = ImageReference.parse(image or f"{REPOSITORY}@{DIGEST}")
    wanted = WantedCheck(image=reference, application_id="greeter", version="1.0", asks=asks, wait_seconds=wait)
    return await checks(house).check(wanted, lambda _: None)


def verdicts(found: ImageChecked) -> dict[str, str]:
    return {one.rule: one.judged.verdict.outcome for one in found.verdicts}


async def test_nothing_recorded_and_nothing_asked_is_unknown_and_never_a_pass(house: InProcess) -> None:
    found = verdicts(await check(house, asks=False))
    assert found["application-unregistered"] == "fail"
    assert {found[one] for one in ("source-missing", "commit-not-found", "ticket-missing", "image-not-found")} == {
        "unknown"
    }
    assert await house.entries("fact") == []


async def test_the_sources_are_asked_and_a_good_image_passes(house: InProcess) -> None:
    await house.register(scm_url="https://git.example.org/demo/greeter.git")
    house.sources.images[DIGEST] = SOURCE % (COMMIT.encode(), b"")
    house.sources.commits[COMMIT] = MESSAGE + b"DEMO-1: greet"
    answer = await check(house)
    found = verdicts(answer)
    for rule in ("application-unregistered", "source-missing", "source-dirty", "commit-not-found", "ticket-missing"):
        assert found[rule] == "pass", rule
    assert answer.to_wire()["complete"] is True


async def test_a_dirty_build_of_an_unknown_commit_fails_before_it_runs(house: InProcess) -> None:
    await house.register()
    house.sources.images[DIGEST] = SOURCE % (COMMIT.encode(), b"M x")
    house.sources.commits[COMMIT] = None
    answer = await check(house)
    found = verdicts(answer)
    assert (found["source-dirty"], found["commit-not-found"]) == ("fail", "fail")
    assert {one.rule: one.judged.folded_under for one in answer.verdicts}["source-dirty"] == ""


async def test_a_registry_that_is_away_makes_the_answer_incomplete(house: InProcess) -> None:
    await house.register()
    house.sources.images[DIGEST] = SourceUnavailable("registry-unreachable", "the registry is away")
    answer = await check(house)
    assert verdicts(answer)["source-missing"] == "unknown"
    wire = answer.to_wire()
    assert wire["complete"] is False
    assert "the registry" in str(wire["unread"])


async def test_a_tag_that_was_never_seen_is_asked_of_its_registry_and_judged(house: InProcess) -> None:
    await house.register(scm_url="https://git.example.org/demo/greeter.git")
    house.sources.tags[f"{REPOSITORY}:1.0"] = DIGEST
    house.sources.images[DIGEST] = SOURCE % (COMMIT.encode(), b"")
    house.sources.commits[COMMIT] = MESSAGE + b"DEMO-1: greet"
    answer = await check(house, image=f"{REPOSITORY}:1.0")
    assert answer.to_wire()["image"] == f"{REPOSITORY}@{DIGEST}"
    assert verdicts(answer)["source-missing"] == "pass"
    assert "tag" not in {one["kind"] for one in await facts(house)}, "a pipeline's tag is not read again for ever"


async def test_a_tag_that_moved_is_judged_by_where_it_points_now(house: InProcess) -> None:
    await house.say(await house.machine())
    await house.work()
    moved = "sha256:" + "e" * 64
    house.sources.tags[f"{REPOSITORY}:1.0"] = moved
    assert (await check(house, image=f"{REPOSITORY}:1.0", wait=0.0)).image.digest == moved


async def test_a_registry_that_cannot_be_asked_for_a_tag_makes_the_answer_incomplete_and_nothing_passes(
    house: InProcess,
) -> None:
    house.sources.tags[f"{REPOSITORY}:2.0"] = SourceUnavailable("registry-denied", "the registry denies it (401)")
    wire = (await check(house, image=f"{REPOSITORY}:2.0")).to_wire()
    assert (wire["image"], wire["verdicts"], wire["complete"]) == (f"{REPOSITORY}:2.0", [], False)
    assert wire["unread"] == [
        {"source": "the registry", "state": "failed", "reason": "the registry denies it (401)"}
    ]  # fmt: skip
    covered: Any = wire["coverage"]
    assert (covered["complete"], covered["incomplete"][0]["source"]) == (False, "registries")


async def test_a_registry_that_is_away_leaves_a_recorded_tag_as_it_was_recorded_and_the_answer_incomplete(
    house: InProcess,
) -> None:
    house.sources.tags[f"{REPOSITORY}:1.0"] = DIGEST
    await house.say(await house.machine())
    await house.work()
    house.sources.tags[f"{REPOSITORY}:1.0"] = SourceUnavailable("registry-unreachable", "the registry is away")
    answer = await check(house, image=f"{REPOSITORY}:1.0", wait=0.0)
    assert answer.image.digest == DIGEST
    assert answer.verdicts
    assert answer.to_wire()["complete"] is False


async def test_a_tag_that_the_registry_does_not_have_is_not_found(house: InProcess) -> None:
    with pytest.raises(NotFound, match=f"the registry has no tag {REPOSITORY}:1.0"):
        await check(house, image=f"{REPOSITORY}:1.0")


async def test_an_instance_of_another_account_never_decides_which_image_a_tag_is(house: InProcess) -> None:
    await house.register()
    liar = await house.machine("i-00000000000000002", account_id=OTHER_ACCOUNT)
    good = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=f"sha256:{'a' * 64}")
    await house.say(liar, image=good, containers=[])
    with pytest.raises(NotFound, match="is not recorded"):
        await check(house, image=f"{REPOSITORY}:1.0", asks=False)
    house.sources.tags[f"{REPOSITORY}:1.0"] = DIGEST
    await house.say(await house.machine())
    await house.work()
    found = await check(house, image=f"{REPOSITORY}:1.0", asks=False)
    assert found.image.digest == DIGEST
    assert verdicts(found)["image-mutable"] == "unknown", "no agent has read whether the tag may move"
    house.sources.tags[f"{REPOSITORY}:1.0"] = good.digest
    house.clock.advance(86_401)
    await house.work()
    with pytest.raises(NotFound, match="pointed to 2 different images"):
        await check(house, image=f"{REPOSITORY}:1.0", asks=False)


async def test_who_reads_only_own_teams_learns_nothing_about_images_of_others(house: InProcess) -> None:
    await house.register()
    await house.register("mine", team_id="evil")
    await house.say(await house.machine())
    callers = {"own": Caller(name="own", teams=frozenset({"evil"}), reads="teams"),
               "hello": Caller(name="ada", teams=frozenset({"hello"}), reads="teams")}  # fmt: skip
    asked = {"image": f"{REPOSITORY}@{DIGEST}", "application": "mine"}
    unseen = {"image": f"{REPOSITORY}@sha256:{'b' * 64}", "application": "mine"}
    own = {"image": f"{REPOSITORY}@{DIGEST}", "application": "greeter"}
    async with (
        served(house, ImageCheckCalls(checks(house)).routes(), callers) as url,
        aiohttp.ClientSession() as client,
    ):

        async def status(token: str, query: dict[str, str]) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            async with client.get(f"{url}/v1/check", params=query, headers=headers) as answer:
                return answer.status

        assert [await status("own", asked), await status("own", unseen), await status("hello", own)] == [403, 200, 200]


async def test_whoever_may_not_ask_gets_what_is_recorded_and_no_registry_is_asked(house: InProcess) -> None:
    house.sources.tags[f"{REPOSITORY}:2.0"] = DIGEST
    with pytest.raises(NotFound, match="is not recorded"):
        await check(house, image=f"{REPOSITORY}:2.0", asks=False)


async def test_a_tag_for_an_application_that_is_not_registered_states_so(house: InProcess) -> None:
    await house.register("mine", team_id="evil")
    house.sources.tags[f"{REPOSITORY}:2.0"] = DIGEST
    callers = {"ada": Caller(name="ada", teams=frozenset({"hello"}))}
    unrecorded = f"the digest of {REPOSITORY}:2.0 is not recorded"
    by_digest = "name the image by its digest: REGISTRY/TEAM/ARTIFACT@sha256:…"
    async with (
        served(house, ImageCheckCalls(checks(house)).routes(), callers) as url,
        aiohttp.ClientSession(headers={"Authorization": "Bearer ada"}) as client,
    ):
        for application, detail, fix in (
            ("greter", f"{unrecorded}, and the registry is not asked: the application greter is not registered",
             f"register the application, or {by_digest}"),
            ("mine", unrecorded, f"{by_digest}, or use a token of the application's team"),
        ):  # fmt: skip
            query = {"image": f"{REPOSITORY}:2.0", "application": application}
            async with client.get(f"{url}/v1/check", params=query) as answer:
                found = await answer.json(content_type=None)
            assert (answer.status, found["code"]) == (404, "image-digest-unknown")
            assert (found["detail"], found["fix"]) == (detail, fix)


async def facts(house: InProcess) -> list[dict[str, Any]]:
    return [type_of(one.content or b"")[2] for one in await house.entries("fact")]
