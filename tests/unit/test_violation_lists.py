"""Lists of violations: filters, counts, and cursors that stay right while violations open and close."""

from __future__ import annotations

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from whence_aggregator.violations.brief import (
    BriefViolation,
    Matched,
    SortKey,
    counted,
    matching,
    page_after,
    place_of,
)
from whence_aggregator.violations.life import SHOWN_STATES, ShownState
from whence_aggregator.violations.selected import SELECTIONS_MAX, Selections

NOW = "2026-11-22T12:00:00.000Z"
BEFORE, AFTER = "2026-11-21T12:00:00.000Z", "2026-11-23T12:00:00.000Z"
NAMES = [f"v-{number:020x}" for number in range(12)]


EXEMPTED: tuple[ShownState, ...] = ("exempted",)


def violation(name: str, **changes: object) -> BriefViolation:
    plain = BriefViolation(
        id=name, number=1, rule="drift", kind="version", subject="greeter@1.0", application_id="greeter",
        account_id="123456789012", team="hello", severity="2", first_seen=BEFORE, since=BEFORE, last_seen="9",
        unconfirmed=False, state="open", exemption="", exempt_until="", ledger_index=1,
    )  # fmt: skip
    return replace(plain, **changes)


VIOLATIONS = st.builds(
    violation,
    st.sampled_from(NAMES),
    rule=st.sampled_from(["drift", "image-unsigned", "spec-url-missing"]),
    team=st.sampled_from(["hello", "world", ""]),
    severity=st.sampled_from(["1", "2", "3"]),
    since=st.sampled_from([BEFORE, NOW, AFTER]),
    state=st.sampled_from(["open", "fixed", "reopened"]),
    exempt_until=st.sampled_from(["", BEFORE, AFTER]),
)
STEPS = st.lists(st.tuples(st.sampled_from(["open", "close", "nothing"]), VIOLATIONS), max_size=12)


def in_order(known: dict[str, BriefViolation]) -> list[BriefViolation]:
    return [known[name] for name in sorted(known)]


@settings(max_examples=200)
@given(
    first=st.lists(VIOLATIONS, max_size=12), steps=STEPS, sort=st.sampled_from(get_args(SortKey)),
    descending=st.booleans(), limit=st.integers(1, 4), severity=st.sampled_from([None, "2"]),
)  # fmt: skip
def test_a_list_read_page_by_page_has_each_violation_that_stays_once(
    first: list[BriefViolation], steps: list[tuple[str, BriefViolation]], sort: SortKey, descending: bool, limit: int,
    severity: str | None,
) -> None:  # fmt: skip
    known = {one.id: one for one in first}
    wanted, listed = Matched(severity=severity), list[str]()
    began, place, moved = matching(in_order(known), wanted, now=NOW), None, set[str]()
    while True:
        found = matching(in_order(known), wanted, now=NOW)
        page = page_after(found, sort, place, descending=descending, limit=limit)
        listed += [one.id for one in page]
        if len(page) < limit:
            break
        place = place_of(page[-1], sort)
        step, other = steps.pop() if steps else ("nothing", began[0])
        if step == "open":
            known[other.id] = other
            moved.add(other.id)
        if step == "close" and other.id in known:
            known[other.id] = replace(known[other.id], state="fixed", exempt_until="")
            moved.add(other.id)
    stayed = [one.id for one in began if one.id not in moved]
    assert [listed.count(name) for name in stayed] == [1] * len(stayed)
    assert all(listed.count(name) <= 1 for name in set(listed) - moved)
    in_its_order = page_after(began, sort, None, descending=descending, limit=len(began))
    wanted_order = [one.id for one in in_its_order if one.id not in moved]
    assert [name for name in listed if name in set(wanted_order)] == wanted_order


def test_an_expired_exemption_counts_as_reopened_and_one_in_force_as_exempted() -> None:
    every = [
        violation(NAMES[0], exemption="e-1", exempt_until=AFTER, state="reopened"),
        violation(NAMES[1], exemption="e-2", exempt_until=BEFORE, state="reopened"),
        violation(NAMES[2], state="fixed", last_seen=BEFORE),
    ]
    states: list[tuple[ShownState, list[str]]] = [
        ("exempted", NAMES[:1]), ("reopened", NAMES[1:2]), ("fixed", NAMES[2:3]), ("open", []), ("acknowledged", []),
    ]  # fmt: skip
    for state, names in states:
        assert [one.id for one in matching(every, Matched(states=(state,)), now=NOW)] == names
    assert counted(every, now=NOW)["status"] == {"exempted": 1, "fixed": 1, "reopened": 1}


def test_each_filter_leaves_what_it_names_and_counts_have_the_most_frequent_first() -> None:
    one = violation(NAMES[0], exemption="e-1", exempt_until=AFTER, state="reopened", unconfirmed=True, since=AFTER)
    others = [
        violation(name, rule="other", team="world", severity="3", kind="ami", subject="ami-1", application_id="second",
                  account_id="210987654321")
        for name in NAMES[1:3]
    ]  # fmt: skip
    filters = [
        Matched(rules=["drift"]), Matched(teams={"hello"}), Matched(severity="2"), Matched(kind="version"),
        Matched(subject="greeter@1.0"), Matched(application="greeter"), Matched(account="123456789012"),
        Matched(exemption="e-1"), Matched(confirmed=False), Matched(since=NOW), Matched(ids={NAMES[0]}),
    ]  # fmt: skip
    for wanted in filters:
        assert matching([one, *others], wanted, now=NOW) == [one], wanted
    assert matching([one, *others], Matched(until=NOW), now=NOW) == others
    assert matching([one, *others], Matched(confirmed=True), now=NOW) == others
    assert matching([one, *others], Matched(states=SHOWN_STATES, teams=()), now=NOW) == []
    assert list(counted([one, *others], now=NOW)["team"].items()) == [("world", 2), ("hello", 1)]


def test_a_selection_is_kept_until_a_violation_moves_or_an_exemption_ends() -> None:
    exempted = violation(NAMES[0], exemption="e-1", exempt_until=AFTER, state="reopened")
    every, selections, wanted = [exempted, violation(NAMES[1])], Selections(), Matched()
    of_exempted = Matched(states=EXEMPTED)
    first = selections.of(every, wanted, now=BEFORE)
    assert first.facets(BEFORE)["status"] == {"exempted": 1, "open": 1}
    assert selections.of(every, wanted, now=NOW) is first
    assert selections.of(every, of_exempted, now=NOW).found == [exempted]
    for moved, now, status in (
        (every, AFTER, {"open": 1, "reopened": 1}), ([*every, violation(NAMES[2])], NOW, {"open": 2, "exempted": 1}),
        (every, "2026-11-20T12:00:00.000Z", {"exempted": 1, "open": 1}),
    ):  # fmt: skip
        found = selections.of(moved, wanted, now=now)
        assert found is not first
        assert found.facets(now)["status"] == status
    ended = selections.of(every, of_exempted, now=AFTER)
    assert ended.found == [], "an exemption that ends takes what it covers out of a list"


def test_selections_keep_the_newest_that_were_asked_for() -> None:
    every, selections = [violation(NAMES[0])], Selections()
    wanted = [Matched(application=f"a-{number}") for number in range(SELECTIONS_MAX + 1)]
    found = [selections.of(every, one, now=NOW) for one in wanted]
    assert selections.of(every, wanted[-1], now=NOW) is found[-1]
    assert selections.of(every, wanted[1], now=NOW) is found[1]
    assert selections.of(every, wanted[0], now=NOW) is not found[0]


def test_what_is_seen_now_sorts_after_what_was_seen_before() -> None:
    seen = [violation(NAMES[0]), violation(NAMES[1], unconfirmed=True, last_seen=BEFORE)]
    found = page_after(seen, "last_seen", None, descending=False, limit=2)
    assert [one.id for one in found] == [NAMES[1], NAMES[0]]
