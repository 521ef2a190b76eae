"""The next step of an application's credentials, as it is decided from what is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from whence_aggregator.mint.deciding import decide
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import MintFailure, MintState, StoredGeneration, StoredMint
from whence_aggregator.mint.steps import (
    AskAgain,
    BeginRotation,
    CommitGeneration,
    ConfirmGeneration,
    DeleteClient,
    DeleteMissing,
    EndGeneration,
    EnsureClient,
    GiveUpGeneration,
    MintDecision,
    NoteStanding,
    PublishGeneration,
    RetractGeneration,
    VerifyGeneration,
    WithdrawObject,
)
from whence_aggregator.mint.values import CredentialHolder, CredentialKind, GenerationId, KioStanding, MintApplication
from whence_common.clock import to_instant

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RULES = MintRules(jitter=0.0, bucket_look_seconds=10 * 366 * 86_400.0)
"""Looks at buckets are decided in test_mint_disturbing."""
ACTIVE = KioStanding(name="Greeter", team_id="hello", is_active=True)
HOUR, DAY = 3_600.0, 86_400.0


def at(seconds: float) -> str:
    return to_instant(START + timedelta(seconds=seconds))


def application(**changes: Any) -> MintApplication:
    one = MintApplication(
        application_id="greeter", team_id="hello", username="stups_greeter", is_confidential=True, provider="stups",
        credentials=("user",), buckets=("one", "two"), last_modified=at(-DAY), last_synced=at(-DAY),
    )  # fmt: skip
    return replace(one, **changes)


def stored(*, of: MintApplication | None = None, **changes: Any) -> StoredMint:
    return replace(StoredMint(application=of or application(), is_synced=True), **changes)


def generation(number: int, phase: Any, *, kind: CredentialKind = "user", **changes: Any) -> StoredGeneration:
    """Return a generation that was intended that many seconds after the start, and as complete as its phase has it."""
    one = StoredGeneration(
        id=GenerationId(application_id="greeter", kind=kind, generation=f"{number:032x}"), provider="stups",
        phase=phase, intended_at=at(number), asked_at=at(number),
    )  # fmt: skip
    if phase != "intended":
        one = replace(one, mac=f"mac-{number}", handle={"txid": str(number)}, sealed="sealed")
    if phase in ("published", "committed"):
        versions = {"one": f"v{number}", "two": f"w{number}"}
        one = replace(one, verified_at=at(number), written=versions, published_at=at(number))
    if phase == "committed":
        one = replace(one, committed_at=at(number), sealed="")
    return replace(one, **changes)


def decided(
    mint: StoredMint, *generations: StoredGeneration, seconds: float, standing: KioStanding | None = ACTIVE,
    holders: tuple[CredentialHolder, ...] = (), rules: MintRules = RULES,
) -> MintDecision:  # fmt: skip
    state = MintState(stored=mint, generations=generations)
    return decide(state, rules, START + timedelta(seconds=seconds), standing=standing, holders=holders)


def waited(decision: MintDecision) -> datetime:
    """Return when to look again at an application for which nothing is due."""
    assert decision.step is None
    return decision.look_at


def holder(held: str | None, *, is_heard: bool = True) -> CredentialHolder:
    return CredentialHolder(
        instance_id="i-1", account_id="123456789012", is_heard=is_heard, generations={"user": held}, reported_at=at(0)
    )


def test_the_provider_knows_an_application_before_anything_is_made() -> None:
    never = stored(of=application(last_synced=""), is_synced=False)
    assert decided(never, seconds=0).step == EnsureClient()


def test_what_was_written_since_is_brought_to_the_provider_and_so_is_another_team() -> None:
    current = generation(0, "committed")
    assert decided(stored(is_synced=False), current, seconds=60).step == EnsureClient()
    moved = replace(ACTIVE, team_id="other")
    assert decided(stored(), current, seconds=60, standing=moved).step == EnsureClient()


def test_an_application_without_a_credential_gets_one_at_once() -> None:
    step = decided(stored(), seconds=0).step
    assert isinstance(step, BeginRotation)
    assert step.kind == "user"


def test_an_application_without_buckets_gets_no_credential() -> None:
    assert waited(decided(stored(of=application(buckets=())), seconds=0))


@pytest.mark.parametrize(
    "kind, is_confidential, age",
    [("user", True, 2 * HOUR), ("user", False, 2 * HOUR), ("client", True, 30 * DAY), ("client", False, None)],
)
def test_a_credential_is_rotated_by_age(kind: CredentialKind, is_confidential: bool, age: float | None) -> None:
    mint = stored(of=application(credentials=(kind,), is_confidential=is_confidential))
    current = generation(0, "committed", kind=kind)
    if age is None:
        assert decided(mint, current, seconds=365 * DAY).step is None
        return
    assert decided(mint, current, seconds=age - 1).step is None
    assert decided(mint, current, seconds=age).step == BeginRotation(kind, "age")


def test_rotations_of_one_age_are_spread() -> None:
    rules = replace(RULES, jitter=0.1)
    early = generation(0, "committed", id=GenerationId(application_id="greeter", kind="user", generation="f" * 32))
    assert decided(stored(), early, seconds=6_481, rules=rules).step == BeginRotation("user", "age")
    late = generation(0, "committed", id=GenerationId(application_id="greeter", kind="user", generation="0" * 32))
    assert decided(stored(), late, seconds=7_199, rules=rules).step is None


def test_a_lost_answer_is_asked_for_again_when_the_provider_can_no_longer_act_on_the_first() -> None:
    one = generation(0, "intended")
    assert waited(decided(stored(), one, seconds=59)) == START + timedelta(seconds=60)
    assert decided(stored(), one, seconds=60).step == AskAgain(one)


def test_a_credential_is_verified_before_it_is_written_anywhere() -> None:
    one = generation(0, "generated")
    assert decided(stored(), one, seconds=1).step == VerifyGeneration(one)


def test_every_bucket_is_written_and_then_all_are_confirmed_before_the_commit() -> None:
    one = generation(0, "generated", verified_at=at(0), written={"one": "v1", "two": ""})
    assert decided(stored(), one, seconds=1).step == PublishGeneration(one, "two")
    both = replace(one, written={"one": "v1", "two": "v2"})
    assert decided(stored(), both, seconds=1).step == ConfirmGeneration(both)
    published = generation(0, "published")
    assert decided(stored(), published, seconds=1).step == CommitGeneration(published)


def test_a_bucket_that_fails_does_not_stop_the_others() -> None:
    one = generation(0, "generated", verified_at=at(0), written={"one": "", "two": ""})
    failing = MintFailure(attempts=1, retry_at=at(600), since=at(0), code="bucket-denied", problem="denied")
    mint = stored(failures={"user one": failing})
    assert decided(mint, one, seconds=1).step == PublishGeneration(one, "two")
    assert decided(mint, one, seconds=600).step == PublishGeneration(one, "two")
    rest = replace(one, written={"one": "", "two": "v2"})
    assert waited(decided(mint, rest, seconds=1)) == START + timedelta(seconds=600)
    assert decided(mint, rest, seconds=600).step == PublishGeneration(rest, "one")


def test_a_failed_step_does_not_stop_the_other_kind() -> None:
    failing = MintFailure(attempts=1, retry_at=at(600), since=at(0), code="provider-refused", problem="refused")
    mint = stored(of=application(credentials=("user", "client")), failures={"client": failing})
    step = decided(mint, seconds=1).step
    assert isinstance(step, BeginRotation)
    assert step.kind == "user"


def test_of_two_steps_that_fail_each_waits_for_its_own_pause() -> None:
    one = MintFailure(attempts=1, retry_at=at(600), since=at(0), code="provider-refused", problem="refused")
    mint = stored(
        of=application(credentials=("user", "client")), failures={"client": one, "user": replace(one, retry_at=at(300))}
    )
    assert waited(decided(mint, seconds=1)) == START + timedelta(seconds=300)


def test_what_was_verified_long_ago_is_verified_again_before_another_bucket_gets_it_and_before_the_commit() -> None:
    for written in ({"one": "", "two": ""}, {"one": "v1", "two": ""}, {"one": "v1", "two": "v2"}):
        one = generation(0, "generated", verified_at=at(10), written=written)
        assert decided(stored(), one, seconds=10 + HOUR - 1).step != VerifyGeneration(one)
        assert decided(stored(), one, seconds=10 + HOUR).step == VerifyGeneration(one)


def test_while_it_cannot_be_verified_again_nothing_is_published_and_nothing_ends() -> None:
    current = generation(0, "committed")
    one = generation(7_200, "generated", verified_at=at(7_200), written={"one": "v1", "two": ""})
    failure = MintFailure(attempts=1, retry_at=at(20_000), since=at(15_000), code="provider-refused", problem="refused")
    failing = stored(failures={"verify user": failure})
    assert waited(decided(failing, current, one, seconds=19_000))
    assert decided(failing, current, one, seconds=20_000).step == VerifyGeneration(one)
    assert decided(failing, current, one, seconds=19_000).no_longer_failing == frozenset()


def test_what_is_no_longer_accepted_leaves_the_buckets_and_is_judged_once_more_before_it_ends() -> None:
    current = generation(0, "committed")
    one = generation(7_200, "generated", asked_at=at(10_000), written={"one": "v1", "two": ""})
    failure = MintFailure(attempts=2, retry_at=at(30_000), since=at(15_000), code="provider-refused", problem="refused")
    failing = stored(failures={"verify user": failure})
    assert waited(decided(failing, current, one, seconds=10_059)), "a request may be on its way to a bucket"
    assert decided(failing, current, one, seconds=10_060).step == RetractGeneration(one, "one")
    left = replace(one, written={"two": ""})
    assert decided(failing, current, left, seconds=10_061).step == RetractGeneration(left, "two")
    revoked = replace(failing, renewal_at=at(11_000), renewal_reason="revoked by ada", revoked_at=at(11_000))
    assert isinstance(decided(revoked, current, left, seconds=11_001).step, RetractGeneration)
    nowhere = replace(one, written={})
    assert decided(failing, current, nowhere, seconds=10_062).step == VerifyGeneration(nowhere)


def test_a_generation_that_a_bucket_may_hold_is_never_given_up() -> None:
    one = generation(0, "generated", verified_at=at(0), written={"one": "", "two": ""})
    revoked = stored(renewal_at=at(5), revoked_at=at(5))
    assert isinstance(decided(revoked, one, seconds=10).step, PublishGeneration)
    unverified = generation(0, "generated")
    assert isinstance(decided(revoked, unverified, seconds=10).step, GiveUpGeneration)


def test_the_generation_before_stays_until_its_readers_hold_the_new_one() -> None:
    old, new = generation(0, "committed"), generation(100, "committed")
    for held, silent in (("old", False), (None, False), (new.id.generation, True)):
        readers = (holder(new.id.generation), holder(held, is_heard=not silent))
        assert decided(stored(), old, new, seconds=HOUR, holders=readers).step is None
        assert decided(stored(), old, new, seconds=100 + DAY, holders=readers).step is not None
    readers = (holder(new.id.generation), holder(""))
    assert decided(stored(), old, new, seconds=100 + 899, holders=readers).step is None
    assert decided(stored(), old, new, seconds=100 + 900, holders=readers).step == GiveUpGeneration(
        old, "its successor is in use"
    )


def test_without_known_readers_only_the_bound_ends_a_generation() -> None:
    old, new = generation(0, "committed"), generation(100, "committed")
    assert decided(stored(), old, new, seconds=100 + DAY - 1).step is None
    assert isinstance(decided(stored(), old, new, seconds=100 + DAY).step, GiveUpGeneration)


@pytest.mark.parametrize(
    ("seconds", "look"),
    [(200, 1000), (999, 1000), (1000, 1120), (1100, 1220), (2200, 2500), (5 * HOUR, 5 * HOUR + 900)],
)
def test_who_reads_is_asked_from_when_it_matters_and_more_rarely_the_longer_it_takes(
    seconds: float, look: float
) -> None:
    old, new = generation(0, "committed"), generation(100, "committed")
    rules = replace(RULES, user_seconds=DAY)
    assert waited(decided(stored(), old, new, seconds=seconds, rules=rules)) == START + timedelta(seconds=look)


def test_a_third_generation_is_never_begun() -> None:
    old, new = generation(0, "committed"), generation(100, "committed")
    renewed = stored(renewal_at=at(200), renewal_reason="renewal requested by ada")
    assert decided(renewed, old, new, seconds=300).step is None
    ending = generation(0, "ending")
    assert decided(renewed, ending, new, seconds=300).step == EndGeneration(ending)


def test_a_renewal_rotates_before_the_age() -> None:
    renewed = stored(renewal_at=at(200), renewal_reason="renewal requested by ada")
    assert decided(renewed, generation(0, "committed"), seconds=200).step == BeginRotation(
        "user", "renewal requested by ada"
    )
    assert decided(renewed, generation(200, "committed"), seconds=300).step is None


def test_a_revocation_ends_the_old_generation_at_once_and_the_current_one_when_it_is_followed() -> None:
    revoked = stored(renewal_at=at(200), revoked_at=at(200), renewal_reason="revoked by ada")
    old, current = generation(0, "committed"), generation(100, "committed")
    assert isinstance(decided(revoked, old, current, seconds=200).step, GiveUpGeneration)
    assert decided(revoked, current, seconds=200).step == BeginRotation("user", "revoked by ada")
    new = generation(201, "committed")
    assert decided(revoked, current, new, seconds=202).step == GiveUpGeneration(current, "revoked by ada")


def test_a_rotation_waits_until_nothing_of_the_current_generation_is_on_its_way() -> None:
    renewed = stored(renewal_at=at(10), renewal_reason="renewal requested by ada")
    assert waited(decided(renewed, generation(0, "committed"), seconds=20)) == START + timedelta(seconds=60)


def test_a_generation_that_cannot_be_committed_is_followed_by_another_after_the_bound_or_a_revocation() -> None:
    old, stuck = generation(0, "committed"), generation(100, "published")
    refused = MintFailure(attempts=9, retry_at=at(10 * DAY), since=at(100), code="provider-refused", problem="refused")
    mint = stored(failures={"user": refused})
    assert decided(mint, old, stuck, seconds=100 + DAY - 1).step is None
    later = decided(stored(), old, stuck, seconds=100 + 2 * DAY, holders=(holder(stuck.id.generation),)).step
    assert later == GiveUpGeneration(old, "its successor is in use")
    revoked = stored(renewal_at=at(200), revoked_at=at(200), renewal_reason="revoked by ada", failures={})
    assert isinstance(decided(revoked, old, stuck, seconds=200).step, GiveUpGeneration)
    followed = generation(300, "committed")
    assert decided(revoked, stuck, followed, seconds=301).step == GiveUpGeneration(stuck, "revoked by ada")


def test_a_bucket_that_was_added_is_filled_by_a_rotation() -> None:
    more = stored(of=application(buckets=("one", "two", "three")))
    step = decided(more, generation(0, "committed"), seconds=100).step
    assert isinstance(step, BeginRotation)
    assert "bucket" in step.reason


def test_a_bucket_that_was_left_is_emptied_but_not_while_an_object_may_be_on_its_way() -> None:
    fewer = stored(of=application(buckets=("one",)))
    assert waited(decided(fewer, generation(0, "committed"), seconds=30)) == START + timedelta(seconds=60)
    assert decided(fewer, generation(0, "committed"), seconds=60).step == WithdrawObject("user", "two")


def test_a_kind_that_is_not_wanted_any_more_leaves_the_buckets_before_it_ends() -> None:
    only = stored(of=application(credentials=("client",)))
    user, client = generation(0, "committed"), generation(0, "committed", kind="client")
    assert decided(only, user, client, seconds=60).step == WithdrawObject("user", "one")
    assert decided(only, user, client, seconds=59).step is None
    denied = MintFailure(attempts=1, retry_at=at(600), since=at(60), code="bucket-denied", problem="denied")
    failing = replace(only, failures={"withdraw user one": denied, "withdraw user two": denied})
    assert decided(failing, user, client, seconds=61).step is None, "a bucket still has an object of it"
    withdrawn = replace(user, written={})
    assert isinstance(decided(only, withdrawn, client, seconds=60).step, GiveUpGeneration)


def test_a_deletion_empties_the_buckets_then_ends_everything_then_deletes_at_the_provider() -> None:
    deleted = stored(deleted_at=at(50), deleted_reason="deleted by ada")
    one = generation(0, "committed")
    assert decided(deleted, one, seconds=60).step == WithdrawObject("user", "one")
    withdrawn = replace(one, written={})
    assert decided(deleted, withdrawn, seconds=60).step == GiveUpGeneration(withdrawn, "deleted by ada")
    ending = replace(withdrawn, phase="ending")
    assert decided(deleted, ending, seconds=60).step == EndGeneration(ending)
    assert decided(deleted, replace(ending, phase="ended"), seconds=60).step == DeleteClient()
    assert decided(replace(deleted, gone_at=at(61)), seconds=62).is_over


def test_nothing_is_begun_for_an_application_that_is_deleted() -> None:
    deleted = stored(deleted_at=at(50), is_synced=False)
    assert decided(deleted, seconds=60).step == DeleteClient()


@pytest.mark.parametrize("standing", [None, replace(ACTIVE, is_active=False)])
def test_an_application_that_kio_lacks_is_deleted_only_when_it_is_missing_a_second_time_after_a_day(
    standing: KioStanding | None,
) -> None:
    current = generation(0, "committed")
    assert decided(stored(), current, seconds=100, standing=standing).step == NoteStanding(True)
    missing = stored(missing_since=at(100), missing_seen=1)
    assert decided(missing, current, seconds=100 + DAY - 1, standing=standing, rules=OLD).step is None
    assert decided(missing, current, seconds=100 + DAY, standing=standing, rules=OLD).step == DeleteMissing()
    assert decided(missing, current, seconds=200, standing=ACTIVE, rules=OLD).step == NoteStanding(False)


OLD = replace(RULES, user_seconds=365 * DAY)


def test_what_was_asked_for_and_never_answered_ends_when_it_can_no_longer_be_made() -> None:
    ending = generation(0, "ending", mac="", handle={})
    state = stored(deleted_at=at(1))
    assert waited(decided(state, ending, seconds=59)) == START + timedelta(seconds=60)
    assert decided(state, ending, seconds=60).step == EndGeneration(ending)


def test_a_failure_of_what_is_not_to_be_done_any_more_is_forgotten() -> None:
    one = MintFailure(attempts=1, retry_at=at(0), since=at(0), code="bucket-denied", problem="denied")
    decision = decided(stored(failures={"user three": one}), generation(0, "committed"), seconds=100)
    assert decision.no_longer_failing == {"user three"}


def test_a_failure_that_another_replica_overcame_is_forgotten_when_no_rotation_is_due() -> None:
    one = MintFailure(attempts=1, retry_at=at(0), since=at(0), code="bucket-denied", problem="denied")
    mint = stored(failures={"user": one, "user one": one, "ensure": one})
    assert decided(mint, generation(0, "committed"), seconds=100).no_longer_failing == {"user", "user one", "ensure"}
    refused = replace(one, retry_at=at(600))
    failing = stored(failures={"user": refused}, renewal_at=at(50), renewal_reason="renewal requested by ada")
    waiting = decided(failing, generation(0, "committed"), generation(50, "ending", mac=""), seconds=100)
    assert waiting.no_longer_failing == frozenset()
