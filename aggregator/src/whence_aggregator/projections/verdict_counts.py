"""Counts of verdicts by account, application, kind of subject and rule, moved with the verdicts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

    sums: dict[CountedPlace, dict[str, dict[Form, int]]] = field(default_factory=dict)
    """By place and rule."""

    def move(
        self, before: tuple[CountedPlace, Mapping[str, Form]], after: tuple[CountedPlace, Mapping[str, Form]]
    ) -> None:
        """Count a subject as it is after an entry, and no longer as it was before."""
        (old_place, old), (new_place, new) = _with_subject(*before), _with_subject(*after)
        stays = old_place == new_place
        removed = [(rule, form) for rule, form in old.items() if not stays or new.get(rule) != form]
        added = [(rule, form) for rule, form in new.items() if not stays or old.get(rule) != form]
        self._add(old_place, removed, -1)
        self._add(new_place, added, 1)

    def rows(self) -> list[AddToVerdictCountParameters]:
        """Return the counts that changed."""
        return [
            {
                "account_id": place.account_id, "application_id": place.application_id, "subject_kind": place.kind,
                "rule": rule, "passed": sums["passed"], "failed": sums["failed"], "unknown": sums["unknown"],
                "folded": sums["folded"],
            }
            for place, rule, sums in self._each()
            if any(sums.values())
        ]  # fmt: skip

    def totals(self) -> list[AddToVerdictTotalParameters]:
        """Return the totals that changed: of rules, accounts and applications."""
        found: dict[tuple[str, str, str, int], dict[Form, int]] = {}
        for place, rule, sums in self._each():
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

    def _each(self) -> Iterator[tuple[CountedPlace, str, dict[Form, int]]]:
        for place, by_rule in self.sums.items():
            for rule, sums in by_rule.items():
                yield place, rule, sums

    def _add(self, place: CountedPlace, forms: Sequence[tuple[str, Form]], by: int) -> None:
        if not forms:
            return
        sums = self.sums.setdefault(place, {})
        for rule, form in forms:
            if (known := sums.get(rule)) is None:
                known = sums[rule] = dict.fromkeys(FORMS, 0)
            known[form] += by


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
