"""What runs in a place is a set: a change is recorded when it changes, and pages do not change the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from whence_aggregator.changes.production import (
    Deployed,
    Occupant,
    Production,
    ProductionChange,
    ProductionLife,
    ProductionPlace,
    ProductionStatement,
    Step,
)

HERE = ProductionPlace(application_id="greeter", account_id="123456789012", region="eu-central-1")
THERE = replace(HERE, region="eu-west-1")
AT = "2026-11-22T12:00:00.000Z"


def version(number: str) -> Deployed:
    return Deployed(version=number, image=f"sha256:{number}", user_data="sha256:u")


OLD, NEW = version("1.0"), version("1.1")


def stated(
    index: int, instance: int, deployed: Deployed = OLD, *, cause: str = "boot", sequence: int | None = None,
    place: ProductionPlace = HERE,
) -> ProductionStatement:  # fmt: skip
    occupant = Occupant(
        instance=instance, instance_id=f"i-{instance}", order=(1, index if sequence is None else sequence), place=place,
        deployed=deployed, cause=cause, since=index,
    )  # fmt: skip
    return ProductionStatement(ledger_index=index, recorded_at=AT, observed_at=AT, occupant=occupant)


def lived(index: int, instance: int, life: str) -> ProductionLife:
    return ProductionLife(ledger_index=index, recorded_at=AT, instance=instance, life=life)


def replay(*steps: Step, production: Production | None = None) -> list[ProductionChange]:
    production = production or Production([])
    entries: dict[int, list[Step]] = {}
    for step in steps:
        entries.setdefault(step.ledger_index, []).append(step)
    return [change for index in sorted(entries) for change in production.apply(entries[index])]


def shown(changes: Sequence[ProductionChange]) -> list[tuple[int, str, list[str], list[str]]]:
    return [
        (one.ledger_index, one.cause, [d.version for d in one.before], [d.version for d in one.after])
        for one in changes
    ]


def test_a_rollout_is_one_change_when_it_begins_and_one_when_the_old_version_is_gone() -> None:
    changes = replay(
        stated(1, 1), stated(2, 2), stated(3, 3, NEW), stated(4, 4, NEW), lived(5, 1, "terminated"),
        lived(6, 2, "shutting-down"), lived(7, 2, "terminated"),
    )  # fmt: skip
    assert shown(changes) == [
        (1, "boot", [], ["1.0"]), (3, "boot", ["1.0"], ["1.0", "1.1"]), (6, "shutting-down", ["1.0", "1.1"], ["1.1"]),
    ]  # fmt: skip
    assert [one.replaced for one in changes] == [None, OLD, NEW]
    assert [(one.started, one.ended) for one in changes] == [((OLD,), ()), ((NEW,), ()), ((), (OLD,))]


def test_an_instance_that_changes_in_place_is_one_change() -> None:
    (_, change) = replay(stated(1, 1), stated(2, 1, NEW, cause="change"))
    assert (change.before, change.after, change.replaced, change.instance_id) == ((OLD,), (NEW,), OLD, "i-1")


def test_user_data_alone_is_a_change() -> None:
    assert len(replay(stated(1, 1), stated(2, 1, replace(OLD, user_data="sha256:v"), cause="change"))) == 2


def test_a_stop_a_failed_boot_and_an_instance_without_an_image_run_nothing() -> None:
    assert shown(replay(stated(1, 1), stated(2, 1, cause="stop"))) == [
        (1, "boot", [], ["1.0"]), (2, "stop", ["1.0"], []),
    ]  # fmt: skip
    assert replay(stated(1, 1, cause="failed")) == []
    assert replay(stated(1, 1, replace(OLD, image=""))) == []


def test_a_stopped_instance_that_starts_again_is_a_change() -> None:
    assert shown(replay(stated(1, 1), lived(2, 1, "stopped"), lived(3, 1, "running"))) == [
        (1, "boot", [], ["1.0"]), (2, "stopped", ["1.0"], []), (3, "running", [], ["1.0"]),
    ]  # fmt: skip


def test_a_statement_that_arrives_after_a_newer_one_changes_nothing() -> None:
    assert len(replay(stated(1, 1, NEW, sequence=5), stated(2, 1, OLD, sequence=4))) == 1


def test_places_do_not_mix() -> None:
    changes = replay(stated(1, 1), stated(2, 2, place=THERE), stated(3, 2, NEW, cause="change"))
    assert [(one.place.region, [d.version for d in one.after]) for one in changes] == [
        ("eu-central-1", ["1.0"]), ("eu-west-1", ["1.0"]), ("eu-central-1", ["1.0", "1.1"]), ("eu-west-1", []),
    ]  # fmt: skip


def test_a_life_of_an_instance_that_stated_nothing_changes_nothing() -> None:
    assert replay(lived(1, 9, "running"), lived(2, 9, "terminated")) == []


STEPS = st.lists(
    st.one_of(
        st.builds(
            lambda i, d, c, p: stated(0, i, d, cause=c, place=p),
            st.integers(1, 3), st.sampled_from([OLD, NEW, replace(NEW, image="")]),
            st.sampled_from(["boot", "change", "stop", "failed"]), st.sampled_from([HERE, THERE]),
        ),
        st.builds(
            lambda i, life: lived(0, i, life),
            st.integers(1, 3), st.sampled_from(["running", "unknown", "stopped", "terminated"]),
        ),
    ),
    max_size=20,
)  # fmt: skip


def numbered(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with an index each, and statements in the order in which they were made."""
    found: list[Step] = []
    for index, step in enumerate(steps):
        if isinstance(step, ProductionStatement):
            found.append(
                replace(step, ledger_index=index, occupant=replace(step.occupant, order=(1, index), since=index))
            )
        else:
            found.append(replace(step, ledger_index=index))
    return found


@given(STEPS)
def test_every_change_continues_the_one_before_it_and_changes_something(made: list[Step]) -> None:
    there: dict[ProductionPlace, tuple[Deployed, ...]] = {}
    for change in replay(*numbered(made)):
        assert there.get(change.place, ()) == change.before != change.after
        assert (change.replaced is None) is (change.before == ())
        assert change.replaced is None or change.replaced in change.before
        there[change.place] = change.after


@given(STEPS, st.integers(0, 20))
def test_a_record_that_begins_in_the_middle_is_the_rest_of_the_whole(made: list[Step], bound: int) -> None:
    steps = numbered(made)
    newest: dict[int, Occupant] = {}
    for step in steps[:bound]:
        if isinstance(step, ProductionStatement):
            life = newest[step.occupant.instance].life if step.occupant.instance in newest else "unknown"
            newest[step.occupant.instance] = replace(step.occupant, life=life)
        elif step.instance in newest:
            newest[step.instance] = replace(newest[step.instance], life=step.life)
    later = replay(*steps[bound:], production=Production(newest.values()))
    assert later == [one for one in replay(*steps) if one.ledger_index >= bound]
