"""The console's pages of rules: what is in force and why not, counts with denominators, examples, and violations."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fakes.console import FakeAsk, shown
from fakes.console_violations import AT, HOSTILE, counts, listed, rule, summary, violation
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.rule_pages import show_rule, show_rules

OFF = rule(
    id="no-sbom", in_force=False, reason="the settings do not configure its source: `trust`", audit_relevant=False
)
JUDGED = counts(**{"pass": 50, "fail": 6, "unknown": 4})


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("<main")[2]))


def group(**named: Any) -> dict[str, Any]:
    return {"verdicts": JUDGED, "subjects": {}, **named}


async def rules_page(*rules: dict[str, Any], summed: Any = None, found: Any = None) -> str:
    answers = {"/v1/rules": {"rules": list(rules)}}
    answers |= {"/v1/summary": summed} if summed is not None else {}
    answers |= {"/v1/violations": found} if found is not None else {}
    return await shown(show_rules, FakeAsk(answers))


async def rule_page(one: dict[str, Any], *, summed: Any = None, found: Any = None) -> str:
    answers = {"/v1/rules": {"rules": [one]}}
    answers |= {"/v1/summary": summed} if summed is not None else {}
    answers |= {"/v1/violations": found} if found is not None else {}
    return await shown(show_rule, FakeAsk(answers), path={"id": one["id"]})


async def test_rules_are_listed_with_counts_and_their_denominators() -> None:
    page = await rules_page(
        rule(), OFF, summed=summary(group(rule="image-mutable"), total=JUDGED), found=listed(violation())
    )
    found = text_of(page)
    assert "1 of 1 rule in force fails for some subject, 1 is unknown for some subject" in found
    assert "Of 60 verdicts, 50 pass, 6 fail, 4 are unknown and 0 follow from a broken link. 1 rule is off." in found
    assert 'class="verdict is-fail"' in page
    row = text_of("<main" + page[page.index('href="/console/rules/image-mutable"') :])
    assert "instance 1 6 4 50 0 60" in row
    assert 'href="/console/violations?rule=image-mutable">1</a>' in page


async def test_a_rule_that_is_off_states_why_and_is_no_pass() -> None:
    page = await rules_page(OFF, summed=summary())
    assert "the settings do not configure its source: `trust`" in text_of(page)
    assert "No rule is in force, so nothing is judged, and nothing passes." in text_of(page)
    assert 'class="verdict is-unknown"' in page


@pytest.mark.parametrize(
    "total, state",
    [
        (counts(**{"pass": 60}), "pass"), (counts(**{"pass": 59, "unknown": 1}), "unknown"), (counts(), "unknown"),
        (counts(**{"pass": 59, "fail": 1}), "fail"),
    ],
)  # fmt: skip
async def test_only_verdicts_that_all_pass_are_a_pass(total: dict[str, int], state: str) -> None:
    one = {"verdicts": total, "subjects": {}}
    page = await rules_page(rule(), summed=summary({**one, "rule": "image-mutable"}, total=total), found=listed())
    assert f'class="verdict is-{state}"' in page
    page = await rule_page(rule(), summed=summary({**one, "team": "hello"}, total=total, by="team"), found=listed())
    assert f'class="verdict is-{state}"' in page


async def test_a_rule_states_title_rationale_remedy_and_examples() -> None:
    teams = summary(group(team="hello"), group(team=None), total=JUDGED, by="team")
    page = await rule_page(rule(), summed=teams, found=listed(violation(), violation(id="v-2")))
    found = text_of(page)
    for part in (
        "The rule image-mutable passes for 50 of 60, fails for 6 and is unknown for 4",
        "The image cannot change under its name. A tag that moves",
        "name it by digest, or by a tag in an immutable registry",
        "medium", "relevant", "the program", "passes given", "is unknown given", "&#34;cause&#34;: &#34;boot&#34;",
        "no team", "greeter 1.0", "All 2, with filters",
    ):  # fmt: skip
        assert part in found, part
    assert "None given" not in found


async def test_a_rule_of_your_own_that_cannot_be_evaluated_is_unknown() -> None:
    own = rule(own=True, digest="sha256:" + "a" * 64, failing="it ran too long", examples=[])
    page = await rule_page(own, summed=summary(total=counts(**{"pass": 3}), by="team"), found=listed())
    assert "The rule image-mutable could not be evaluated" in page
    assert 'class="verdict is-unknown"' in page
    assert "it ran too long" in page
    assert "your own rules" in text_of(page)


async def test_what_may_not_be_seen_is_stated_and_is_no_pass() -> None:
    page = await rule_page(rule())
    assert "Its counts are not for you to see." in page
    assert 'class="verdict is-unknown"' in page
    assert "not for you to see" in text_of(await rules_page(rule()))


async def test_a_rule_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ApiRefused) as caught:
        await shown(show_rule, FakeAsk({"/v1/rules": {"rules": []}}), path={"id": "nothing"})
    assert caught.value.answer == ApiAnswer(
        status=404, document={"code": "not-found", "detail": "there is no such rule"}
    )


async def test_hostile_text_in_a_rule_is_shown_and_never_run() -> None:
    one = rule(
        id=HOSTILE, title=HOSTILE, rationale=HOSTILE, remedy=HOSTILE, reason=HOSTILE, failing=HOSTILE, own=True,
        examples=[{"outcome": "fail", "given": {HOSTILE: HOSTILE}}],
    )  # fmt: skip
    for page in (await rule_page(one), await rules_page(one), await rules_page({**one, "in_force": False})):
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert AT not in page
