"""Judged pages as they pass between processes: what their record needs, and nothing of the evidence. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from whence_aggregator.compliance.evidence import SubjectEvidence, SubjectOfRule
from whence_aggregator.compliance.judging import JudgedPage
from whence_aggregator.compliance.moving import JudgedVerdict
from whence_aggregator.compliance.recording import JudgedNow
from whence_aggregator.compliance.resting import Unlogged, digest_of
from whence_aggregator.compliance.rule import Outcome, Verdict
from whence_aggregator.queries.work import AddTaskParameters


class PageAsked(msgspec.Struct, frozen=True, array_like=True):
    """The instances to judge, and since when agents are heard."""

    instance_ids: list[str]
    now: datetime
    since: datetime
    heard_until: datetime


class InstanceWire(msgspec.Struct, frozen=True, array_like=True):
    """A judged instance. A verdict is its outcome, its reason, and the link that it folds under."""

    instance_id: str
    at: str
    verdicts: dict[str, tuple[Outcome, str, str]]
    document: str
    unlogged: Unlogged
    entries: tuple[int, ...]
    broken: dict[str, str]


class PageWire(msgspec.Struct, frozen=True, array_like=True):
    """A judged page."""

    judged: list[InstanceWire]
    shown: list[tuple[SubjectOfRule, str, frozenset[str]]]
    open: list[AddTaskParameters]
    again: list[AddTaskParameters]

    @classmethod
    def of(cls, page: JudgedPage) -> PageWire:
        return cls(
            judged=[_wire(one) for one in page.judged],
            shown=[(kind, name, some) for (kind, name), some in page.shown.items()],
            open=list(page.open),
            again=list(page.again),
        )

    def page(self) -> JudgedPage:
        return JudgedPage(
            judged=[_judged(one) for one in self.judged],
            shown={(kind, name): some for kind, name, some in self.shown},
            open=self.open,
            again=self.again,
        )


def _wire(one: JudgedNow) -> InstanceWire:
    verdicts = {
        name: (each.verdict.outcome, each.verdict.reason, each.folded_under) for name, each in one.verdicts.items()
    }
    return InstanceWire(
        one.evidence.id, one.evidence.now, verdicts, digest_of(one.evidence), one.unlogged(), one.entries(),
        dict(one.broken),
    )  # fmt: skip


def _judged(one: InstanceWire) -> JudgedNow:
    return JudgedNow(
        evidence=SubjectEvidence(kind="instance", id=one.instance_id, now=one.at),
        verdicts={
            name: JudgedVerdict(verdict=Verdict(outcome=outcome, reason=reason), folded_under=folded)
            for name, (outcome, reason, folded) in one.verdicts.items()
        },
        unlogged=lambda: one.unlogged,
        entries=lambda: one.entries,
        instance=one.instance_id,
        broken=one.broken,
        document=one.document,
    )
