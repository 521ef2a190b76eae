"""When mint looks at buckets, what it makes of the versions there, and when it renews what was disturbed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from unit.test_mint_deciding import ACTIVE, DAY, HOUR, START, at, generation, stored
from whence_aggregator.mint.deciding import decide
from whence_aggregator.mint.disturbing import Disturbance, disturbance, look_at, repair_at, written_over
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import BucketLook, LookFinding, MintFailure, MintState, StoredGeneration
from whence_aggregator.mint.steps import BeginRotation, LookAtBucket, MintDecision
from whence_aggregator.mint.values import GenerationId, ObjectVersion

RULES = MintRules(jitter=0.0, user_seconds=30 * DAY)
OWN = ObjectVersion(version_id="v0", is_latest=True, is_deletion=False, modified_at=at(0))
BEFORE = replace(OWN, is_latest=False)


def looked(finding: LookFinding, *, seconds: float = 0, version: str = "x") -> BucketLook:
    return BucketLook(at=at(seconds), finding=finding, version_id=version)


def newest(version_id: str, *, seconds: float, is_deletion: bool = False) -> ObjectVersion:
    return ObjectVersion(version_id=version_id, is_latest=True, is_deletion=is_deletion, modified_at=at(seconds))


def found(
    *versions: ObjectVersion, others: tuple[StoredGeneration, ...] = (), restored_at: str = ""
) -> Disturbance | None:
    one = generation(0, "committed")
    state = MintState(stored=stored(), generations=[one, *others])
    return disturbance(versions, state, one, "one", rules=RULES, restored_at=restored_at)


def decided(*generations: StoredGeneration, seconds: float, rules: MintRules = RULES) -> MintDecision:
    state = MintState(stored=stored(), generations=generations)
    return decide(state, rules, START + timedelta(seconds=seconds), standing=ACTIVE, holders=())


def test_a_bucket_that_holds_the_generation_is_undisturbed_whatever_lies_below() -> None:
    assert found(OWN, newest("x", seconds=-5)) is None
    assert found(OWN) is None


@pytest.mark.parametrize(
    "versions, version_id, words",
    [
        ((newest("x", seconds=HOUR), BEFORE), "x", "version x of 2026-11-22T13:00:00.000Z"),
        ((newest("x", seconds=HOUR, is_deletion=True), BEFORE), "x", "was deleted at 2026-11-22T13:00:00.000Z"),
        ((newest("x", seconds=-DAY),), "x", "the version that mint wrote, v0, is gone"),
        ((), "", "bucket one has no object greeter/user.json; the version that mint wrote, v0, is gone"),
    ],
    ids=["overwritten", "deleted", "destroyed", "emptied"],
)
def test_what_mint_did_not_write_is_told_with_bucket_key_version_and_time(
    versions: tuple[ObjectVersion, ...], version_id: str, words: str
) -> None:
    one = found(*versions)
    assert one is not None
    assert (one.version_id, one.is_own_possible) == (version_id, False)
    assert all(part in one.problem for part in (words, "bucket one", "greeter/user.json"))


def test_a_version_id_that_s3_would_never_state_is_told_within_bounds() -> None:
    one = found(newest("x\n\ud800\x00" + "y" * 5_000, seconds=HOUR), BEFORE)
    assert one is not None
    assert len(one.problem) <= 800
    assert len(one.version_id) <= 200
    assert (one.problem + one.version_id).isprintable()
    one.problem.encode()


def test_a_newer_generation_may_be_in_the_bucket_and_is_no_disturbance() -> None:
    foreign = newest("x", seconds=HOUR)
    verified = generation(60, "generated", verified_at=at(60), written={"one": "", "two": ""})
    assert found(foreign, BEFORE, others=(verified,)) is None
    assert found(foreign, BEFORE, others=(generation(60, "generated"),)) is not None


@pytest.mark.parametrize("seconds, is_possible", [(0, True), (60, True), (61, False), (-1, True)])
def test_a_version_of_the_minute_of_mints_own_may_be_a_write_whose_answer_was_lost(
    seconds: float, is_possible: bool
) -> None:
    one = found(newest("x", seconds=seconds), BEFORE)
    assert one is not None
    assert one.is_own_possible == is_possible


@pytest.mark.parametrize("seconds, is_possible", [(DAY + 900, True), (DAY + 901, False)])
def test_a_version_from_before_a_restore_may_be_mints_own(seconds: float, is_possible: bool) -> None:
    one = found(newest("x", seconds=seconds), BEFORE, restored_at=at(DAY))
    assert one is not None
    assert one.is_own_possible == is_possible


def test_each_bucket_is_looked_at_once_in_an_interval_and_a_suspicion_after_a_minute() -> None:
    one = generation(0, "committed")
    assert decided(one, seconds=HOUR - 1).step is None
    assert decided(one, seconds=HOUR).step == LookAtBucket(one, "one")
    seen = replace(one, looks={"one": looked("", seconds=HOUR)})
    assert decided(seen, seconds=HOUR).step == LookAtBucket(seen, "two")
    both = replace(one, looks=dict.fromkeys(("one", "two"), looked("", seconds=HOUR)))
    assert decided(both, seconds=2 * HOUR - 1).step is None
    assert decided(both, seconds=2 * HOUR).step == LookAtBucket(both, "one")
    suspected = replace(both, looks={**both.looks, "two": looked("suspected", seconds=HOUR)})
    assert decided(suspected, seconds=HOUR + 59).step is None
    assert decided(suspected, seconds=HOUR + 60).step == LookAtBucket(suspected, "two")


def test_looks_at_generations_of_one_age_are_spread_and_never_early() -> None:
    rules, times = replace(RULES, jitter=0.1), list[datetime]()
    for number in ("0" * 32, "8" * 32, "f" * 32):
        one = generation(0, "committed", id=GenerationId(application_id="greeter", kind="user", generation=number))
        times.append(look_at(one, "one", rules))
    assert times == sorted(times)
    assert times[0] == START + timedelta(hours=1)
    assert START + timedelta(minutes=65) < times[-1] <= START + timedelta(minutes=66)


def test_what_is_known_to_be_disturbed_is_not_looked_at_again() -> None:
    one = generation(0, "committed", looks={"one": looked("tampered"), "two": looked("")}, disturbed=9)
    assert decided(one, seconds=HOUR).step == LookAtBucket(one, "two")


@pytest.mark.parametrize(
    "disturbed, hours", [(1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 24), (40, 24), (4_000, 24)]
)
def test_a_disturbed_generation_is_renewed_at_once_and_then_more_and_more_rarely(disturbed: int, hours: float) -> None:
    one = generation(0, "committed", looks={"one": looked("tampered", seconds=HOUR)}, disturbed=disturbed)
    assert repair_at(one, RULES) == START + timedelta(hours=1 + hours)


@pytest.mark.parametrize("finding", ["", "suspected"])
def test_a_suspicion_is_no_reason_to_renew(finding: LookFinding) -> None:
    assert repair_at(generation(0, "committed", looks={"one": looked(finding)}), RULES) is None


def test_a_renewal_names_the_bucket_and_comes_no_later_than_the_rotation_by_age() -> None:
    one = generation(0, "committed", looks={"one": looked("tampered"), "two": looked("")}, disturbed=1)
    assert decided(one, seconds=120).step == BeginRotation("user", "one: not what mint wrote")
    late = replace(one, disturbed=30)
    assert decided(late, seconds=2 * HOUR, rules=replace(RULES, user_seconds=2 * HOUR)).step == BeginRotation(
        "user", "age"
    )


def test_a_bucket_that_is_withdrawn_disturbs_nothing() -> None:
    one = generation(0, "committed", looks={"three": looked("tampered")}, disturbed=1)
    assert (one.disturbances, one.step, repair_at(one, RULES)) == ({}, "committed", None)
    assert replace(one, written={**one.written, "three": "v9"}).step == "tampered"


def test_the_problem_of_a_disturbed_bucket_lasts_until_another_generation_is_current() -> None:
    noted = MintFailure(attempts=1, retry_at=at(0), since=at(0), code="bucket-tampered", problem="")
    one = generation(
        0, "committed", looks={"one": looked("tampered"), "two": looked("", seconds=HOUR)}, disturbed=9
    )  # fmt: skip
    state = MintState(stored=stored(failures={"bucket user one": noted}), generations=[one])
    now = START + timedelta(seconds=HOUR)
    assert decide(state, RULES, now, standing=ACTIVE, holders=()).no_longer_failing == frozenset()
    after = generation(60, "committed", looks=dict.fromkeys(("one", "two"), looked("", seconds=HOUR)))
    state = replace(state, generations=[one, after])
    assert decide(state, RULES, now, standing=ACTIVE, holders=()).no_longer_failing == {"bucket user one"}


@pytest.mark.parametrize(
    "seconds, modified, is_noticed",
    [(DAY, HOUR, True), (DAY, 60, False), (DAY, DAY - 900, False), (DAY, DAY - 901, True), (DAY, DAY + HOUR, False)],
    ids=["between", "own write before", "clocks", "clocks differ no more", "own write after"],
)
def test_what_was_written_between_two_generations_is_noticed_unless_it_may_be_a_lost_answer(
    seconds: float, modified: float, is_noticed: bool
) -> None:
    after = generation(int(seconds), "generated", verified_at=at(seconds), written={"one": "v9"})
    versions = [newest("v9", seconds=seconds), replace(newest("x", seconds=modified), is_latest=False), BEFORE]
    over = written_over(versions, generation(0, "committed"), after, "one", rules=RULES, restored_at="")
    assert (over is not None) == is_noticed
    assert over is None or ("version x of" in over.problem and over.version_id == "x")
    restored = written_over(versions, generation(0, "committed"), after, "one", rules=RULES, restored_at=at(DAY))
    assert restored is None


def test_of_a_bucket_that_the_generation_before_was_not_in_nothing_is_noticed() -> None:
    after = generation(int(DAY), "generated", verified_at=at(DAY), written={"three": "v9"})
    versions = [newest("v9", seconds=DAY), replace(newest("x", seconds=HOUR), is_latest=False)]
    assert written_over(versions, generation(0, "committed"), after, "three", rules=RULES, restored_at="") is None
