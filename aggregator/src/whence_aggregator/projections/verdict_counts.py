"""Counts of verdicts by account, application, kind of subject and rule, moved with the verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from whence_aggregator.queries.reports import AddToVerdictCountParameters, AddToVerdictTotalParameters

Form = Literal["passed", "folded", "unknown", "failed"]
"""How a verdict counts. `folded`: it depends on a broken link, which has a verdict of its own."""
FORMS: tuple[Form, ...] = ("passed", "folded", "unknown", "failed")
"""The better ones first: a subject counts as the worst of its verdicts."""
OF_SUBJECT = ""
"""In place of a rule: the subject itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedPlace:
    """Where a subject is counted."""

    account_id: str
    application_id: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedInstance:
    """The application of an instance now, and the one that it is counted for; None before it was judged."""

    application_id: str
    counted: str | None

    @property
    def moved(self) -> bool:
        return self.counted is not None and self.counted != self.application_id


@dataclass(slots=True)
class VerdictCounts:
    """Sums up what entries change."""

    sums: dict[tuple[CountedPlace, str], dict[Form, int]] = field(default_factory=dict)

    def move(
        self, before: tuple[CountedPlace, Mapping[str, Form]], after: tuple[CountedPlace, Mapping[str, Form]]
    ) -> None:
        """Count a subject as it is after an entry, and no longer as it was before."""
        (old_place, old), (new_place, new) = _with_subject(*before), _with_subject(*after)
        for rule, form in old.items():
            if old_place != new_place or new.get(rule) != form:
                self._add(old_place, rule, form, -1)
        for rule, form in new.items():
            if old_place != new_place or old.get(rule) != form:
                self._add(new_place, rule, form, 1)

    def rows(self) -> list[AddToVerdictCountParameters]:
        """Return the counts that changed."""
        return [
            {
                "account_id": place.account_id, "application_id": place.application_id, "subject_kind": place.kind,
                "rule": rule, "passed": sums["passed"], "failed": sums["failed"], "unknown": sums["unknown"],
                "folded": sums["folded"],
            }
            for (place, rule), sums in self.sums.items()
            if any(sums.values())
        ]  # fmt: skip

    def totals(self) -> list[AddToVerdictTotalParameters]:
        """Return the totals that changed: of rules, accounts and applications."""
        found: dict[tuple[str, str, str, int], dict[Form, int]] = {}
        for (place, rule), sums in self.sums.items():
            of_subjects = int(rule == OF_SUBJECT)
            names = (("rule", rule), ("account", place.account_id), ("application", place.application_id))
            for scope, name in names:
                total = found.setdefault((scope, name, place.kind, of_subjects), dict.fromkeys(FORMS, 0))
                for form, by in sums.items():
                    total[form] += by
        return [
            {
                "scope": scope, "name": name, "subject_kind": kind, "of_subjects": of_subjects,
                "passed": sums["passed"], "failed": sums["failed"], "unknown": sums["unknown"],
                "folded": sums["folded"],
            }
            for (scope, name, kind, of_subjects), sums in found.items()
            if any(sums.values())
        ]  # fmt: skip

    def _add(self, place: CountedPlace, rule: str, form: Form, by: int) -> None:
        self.sums.setdefault((place, rule), dict.fromkeys(FORMS, 0))[form] += by


def form_of(outcome: str | None, folded: bool) -> Form | None:
    """Return how a verdict counts; None for what is gone, which is not counted."""
    if outcome == "pass":
        return "passed"
    if outcome not in ("fail", "unknown"):
        return None
    return "folded" if folded else "failed" if outcome == "fail" else "unknown"


def _with_subject(place: CountedPlace, forms: Mapping[str, Form]) -> tuple[CountedPlace, dict[str, Form]]:
    if not forms:
        return place, {}
    return place, {**forms, OF_SUBJECT: max(forms.values(), key=FORMS.index)}
