"""Findings that were fixed long ago go with their reports; what is open stays, and a replay repeats the removal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from contract.test_findings import Asked, at, served
from fakes.auditor import checked, dumped
from fakes.cloud_trail import key, log_file, record, s3_event
from fakes.findings import IMAGE, ocsf, sarif
from fakes.in_process import InProcess
from fakes.trail_world import TrailWorld
from whence_aggregator.audit.forgetting import Forgetting
from whence_aggregator.audit.naming import Persons
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.findings.ageing import FindingsRemoved
from whence_aggregator.ledger.retention import Retention
from whence_aggregator.ports import Conflict

DAYS = 2


class MemoryArchive:
    def __init__(self) -> None:
        self.bundles: dict[int, Sequence[bytes]] = {}

    async def load(self, number: int) -> Sequence[bytes] | None:
        return self.bundles.get(number)

    async def store(self, number: int, entries: Sequence[bytes]) -> None:
        self.bundles[number] = entries


def retention(house: InProcess, archive: MemoryArchive | None = None) -> Retention:
    return Retention(
        database=house.database, ledger=house.ledger, archive=archive, days={"findings": DAYS}, now=house.clock,
        derived={"findings": FindingsRemoved(house.database)},
    )  # fmt: skip


async def aged(asked: Asked) -> None:
    """Findings of which `gone` and `done` are fixed and `open` and `passing` are not, and days after them."""
    await asked.push(ocsf("open", at=at(1)), ocsf("gone", at=at(1)), ocsf("passing", at=at(1), result="PASS"))
    await asked.push(ocsf("done", at=at(2)))
    await asked.push(ocsf("done", at=at(3), status_id=4))
    await asked.push(ocsf("open", at=at(4)), ocsf("passing", at=at(4), result="PASS"), complete="true")
    await asked.push(ocsf("open", at=at(5)), ocsf("passing", at=at(5), result="PASS"), complete="true")
    scan = sarif({"ruleId": "CVE-2026-1"}, repoDigests=[f"r.example.org/a@{IMAGE}"])
    await asked.push(scan, token="every", account="123456789012", complete="true")
    world = TrailWorld(asked.house)
    world.objects.put(key(), log_file(*(record(number=n) for n in range(300))))
    world.queue.send(s3_event(key()))
    await world.settle()
    asked.house.clock.advance(60)
    await asked.push(ocsf("open", at=at(6)))  # with the time of its recording: ages are told by it
    asked.house.clock.advance((DAYS + 1) * 86_400)
    await asked.push(ocsf("open", at="2026-11-25T11:00:00Z"))


async def test_what_was_fixed_long_ago_goes_and_the_rest_stays_as_it_was(house: InProcess, tmp_path: Path) -> None:
    async with served(house) as asked:
        await aged(asked)
        before = {one["uid"]: one for one in await asked.list()}
        assert (before["gone"]["verdict"], before["done"]["verdict"]) == ("fixed", "fixed")
        assert await retention(house).prune("findings") > 0
        after = {one["uid"]: one for one in await asked.list()}
        assert after == {uid: one for uid, one in before.items() if uid not in ("gone", "done")}
        rows = await dumped(house.database)
        assert {row["uid"] for row in rows["finding"]} == {"open", "passing"} | {
            uid for uid in after if uid not in ("open", "passing")
        }  # fmt: skip
        assert len([row for row in rows["finding_report"] if not row["image_digest"]]) == 3
        assert (await checked(house, tmp_path)).findings == []
        kept = [one.content is not None for one in await house.entries("findings")]
        assert (kept.count(False), kept[0]) == (3, True), "the two of `done` and an older report; the first has `open`"
        with pytest.raises(Conflict, match="3 bodies were pruned"):
            await rebuild(house.database, house.reader)


async def test_a_rebuild_from_the_archive_removes_the_same_again(house: InProcess, tmp_path: Path) -> None:
    archive = MemoryArchive()
    house.ledger.reader.archive = archive
    house.reader.archive = archive
    async with served(house) as asked:
        await aged(asked)
        await retention(house, archive).prune("findings")
        assert (await checked(house, tmp_path)).findings == []
        before = await dumped(house.database)
        await rebuild(house.database, house.reader)
        assert await dumped(house.database) == before


async def test_a_fixed_finding_that_is_back_after_it_was_removed_is_a_new_one(house: InProcess) -> None:
    async with served(house) as asked:
        await aged(asked)
        await retention(house).prune("findings")
        assert (await asked.push(ocsf("gone", at="2026-11-25T11:30:00Z")))["new"] == 1
        assert (await asked.verdicts())["gone"] == "fail"
        assert await retention(house).prune("findings") == 0 or (await asked.verdicts())["gone"] == "fail"


async def test_a_finding_that_names_a_person_is_listed_with_what_to_do_about_it(house: InProcess) -> None:
    async with served(house) as asked:
        named = {"uid": "arn:aws:iam::123456789012:user/ada", "type": "AwsIamUser", "region": "eu-central-1"}
        await asked.push(ocsf("a", resources=[named]), ocsf("b"))
        forgetting = Forgetting(database=house.database, ledger=house.ledger, archive=None, now=house.clock)
        (found,) = await forgetting.find(Persons(["ada"]))
        assert (found.kind, found.kept) == (
            "findings",
            "a scanner states it: rename the resource; retention.finding_days removes it once it is fixed",
        )  # fmt: skip
        assert await forgetting.remove([found], reason="request 7") == 0
