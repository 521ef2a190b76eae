"""The facts that verdicts are made from: without times that change, and without what cannot be read again.

A trace shows what was read last, and when the next attempt is. A verdict is unknown while its sources cannot be read,
and states the same reason until something changes: each other reason would be another entry of the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from whence_aggregator.trace.facts import Answer, Facts


def judged_facts(facts: Facts) -> Facts:
    """Return the facts as rules judge them."""
    return replace(
        facts,
        image_source=judged_answer(facts.image_source),
        commit=judged_answer(facts.commit),
        branch=judged_answer(facts.branch),
        signature=judged_answer(facts.signature),
        review=judged_answer(facts.review),
        ami=judged_answer(facts.ami),
        tickets=_each(facts.tickets),
        commit_reviews=_each(facts.commit_reviews),
    )


def judged_answer(answer: Answer) -> Answer:
    """Return an answer as rules judge it. The value of one that cannot be read again stays: it may deny."""
    if answer.outcome == "unknown":
        return replace(answer, reason=answer.waits) if answer.waits else answer
    return replace(answer, outcome="unknown", reason=answer.failed) if answer.failed else answer


def _each(answers: Mapping[str, Answer]) -> dict[str, Answer]:
    return {name: judged_answer(one) for name, one in answers.items()}
