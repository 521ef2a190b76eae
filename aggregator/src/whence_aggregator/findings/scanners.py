"""Scanners that the settings name, how long what they state counts, and which of our rules their checks are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from whence_aggregator.findings.rows import StoredFinding
from whence_common.clock import parse_instant

IMAGE_CVE, BASE_IMAGE_OUTDATED = "image-cve", "base-image-outdated"
"""Rules of the catalogue that rest on findings alone."""
INTERVAL_SECONDS_DEFAULT = 2 * 86_400.0
"""Of a scanner that the settings do not name: a daily run may be late by a day."""
CVE_SEVERITY_DEFAULT = 2
"""The least severe vulnerability that is a fault of `image-cve`: high."""
BASE_IMAGE_CHECKS = ("base-image-outdated", "*outdated-base-image*", "*base-image-outdated*", "*base_image_outdated*")
Reports = Literal["everything", "changes"]
FindingVerdict = Literal["pass", "fail", "unknown", "manual", "fixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """A scanner and how often it reports. `accounts`: those that it is expected to report about; empty: any."""

    product: str
    interval_seconds: float = INTERVAL_SECONDS_DEFAULT
    accounts: frozenset[str] = frozenset()
    reports: Reports = "everything"
    """Whether each of its reports confirms the findings that did not change, or any report confirms them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanners:
    """The scanners of the settings, and what their findings mean."""

    named: Sequence[Scanner] = ()
    cve_severity: int = CVE_SEVERITY_DEFAULT
    base_image_checks: Sequence[str] = BASE_IMAGE_CHECKS
    severities: dict[str, int] = field(default_factory=dict)
    """By rule, as `product/check` or one of ours: in place of what the scanner states."""

    @classmethod
    def from_wire(cls, stated: Mapping[str, Any]) -> Scanners:
        """Return scanners from what `to_wire` stated of them."""
        named = [
            Scanner(product=one["product"], interval_seconds=one["interval_seconds"],
                    accounts=frozenset(one["accounts"]), reports=one["reports"])
            for one in stated["named"]
        ]  # fmt: skip
        return cls(
            named=named, cve_severity=stated["cve_severity"], base_image_checks=tuple(stated["base_image_checks"]),
            severities=dict(stated["severities"]),
        )  # fmt: skip

    def to_wire(self) -> dict[str, object]:
        return {
            "named": [
                {"product": one.product, "interval_seconds": one.interval_seconds, "accounts": sorted(one.accounts),
                 "reports": one.reports}
                for one in self.named
            ],
            "cve_severity": self.cve_severity, "base_image_checks": list(self.base_image_checks),
            "severities": dict(sorted(self.severities.items())),
        }  # fmt: skip

    def of(self, product: str, account_id: str) -> Scanner:
        """Return the scanner of a product for an account, or what holds for one that is not named."""
        own = [one for one in self.named if one.product == product and account_id in one.accounts]
        every = [one for one in self.named if one.product == product and not one.accounts]
        return next(iter([*own, *every]), Scanner(product=product))

    def rule_of(self, finding: StoredFinding) -> str:
        """Return the rule that a finding is of: one of ours for images, else `product/check`."""
        if any(fnmatchcase(finding.check_id.lower(), one.lower()) for one in self.base_image_checks):
            return BASE_IMAGE_OUTDATED
        if finding.vulnerability and finding.image_digest:
            return IMAGE_CVE
        return f"{finding.product}/{finding.check_id}"

    def severity_of(self, finding: StoredFinding) -> int:
        stated = self.severities.get(f"{finding.product}/{finding.check_id}")
        return stated or self.severities.get(self.rule_of(finding)) or finding.severity

    def verdict(self, finding: StoredFinding, *, now: datetime) -> tuple[FindingVerdict, str]:
        """Return what a finding means now, with the reason: what its scanner no longer confirms is unknown."""
        if finding.closed == "absent":
            return "fixed", f"the complete report of {finding.since} did not have it any more"
        if finding.closed:
            return "fixed", f"{finding.product} states that it is closed, since {finding.since}"
        scanner = self.of(finding.product, finding.account_id)
        confirmed_at = finding.reported_at if scanner.reports == "changes" else finding.last_seen
        age_seconds = (now - parse_instant(confirmed_at)).total_seconds()
        if age_seconds > scanner.interval_seconds:
            return "unknown", _stale(finding, scanner, confirmed_at)
        detail = str(finding.body.get("detail", ""))
        if finding.result in ("pass", "fail", "manual"):
            return finding.result, detail  # type: ignore[return-value]  # of the three just compared
        return "unknown", detail or f"{finding.product} has no result"


def _stale(finding: StoredFinding, scanner: Scanner, confirmed_at: str) -> str:
    """Return that a finding is not confirmed any more: its scanner does not report, or reports without it.

    The text stays the same while nothing is reported, so that a verdict with it does not change every hour.
    """
    interval = hours(scanner.interval_seconds)
    if finding.reported_at == confirmed_at:
        what = f"{finding.product} has not reported since {confirmed_at}"
    else:
        what = f"not confirmed since {confirmed_at}; {finding.product} has reported since then without it"
    was = f": it was {finding.result} then"
    return f"{what} (expected every {interval}){was}"


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 7200 else f"{seconds / 60:.0f} min"
