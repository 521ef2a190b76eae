"""The settings of `findings`: scanners with their intervals, and what their findings mean."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from whence_aggregator.findings.scanners import (
    BASE_IMAGE_CHECKS,
    CVE_SEVERITY_DEFAULT,
    INTERVAL_SECONDS_DEFAULT,
    Reports,
)
from whence_common.identifiers import ACCOUNT_ID, PRODUCT

_INTERVAL_SECONDS = (60.0, 366 * 86_400.0)
_LEAST, _MOST = 1, 4


class ScannerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scanner whose findings are recorded."""

    product: str
    """Its name in lower case, as `whence findings list` shows it: prowler, trivy."""
    interval_seconds: float = INTERVAL_SECONDS_DEFAULT
    """How long what it states counts. After that its findings are unknown."""
    accounts: list[str] = []
    """The accounts that this holds for; empty: all."""
    reports: Reports = "everything"
    """`changes` for a scanner that sends a finding only when it changes, as Security Hub does through EventBridge."""


class FindingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What findings of scanners mean."""

    scanners: list[ScannerSettings] = []
    cve_severity: int = CVE_SEVERITY_DEFAULT
    """The least severe vulnerability that fails `image-cve`: 1 critical, 2 high, 3 medium, 4 low."""
    base_image_checks: list[str] = msgspec.field(default_factory=lambda: list(BASE_IMAGE_CHECKS))
    """The checks, as patterns with *, whose findings are of the rule `base-image-outdated`."""
    severities: dict[str, int] = {}
    """Severities in place of those that scanners state, by PRODUCT/CHECK or by rule."""


def wrong_in_findings(findings: FindingSettings) -> Iterator[str]:
    """Yield the problems of the settings, each with its path."""
    seen: set[tuple[str, str]] = set()
    for number, one in enumerate(findings.scanners):
        name = f"findings.scanners[{number}]"
        if not PRODUCT.match(one.product):
            yield f"{name}.product: write it in lower case, as in `whence findings list`"
        if not _INTERVAL_SECONDS[0] <= one.interval_seconds <= _INTERVAL_SECONDS[1]:
            yield f"{name}.interval_seconds must be from {_INTERVAL_SECONDS[0]:g} to {_INTERVAL_SECONDS[1]:g}"
        for account in one.accounts:
            if not ACCOUNT_ID.match(account):
                yield f"{name}.accounts: {account!r} is not an account id (12 digits, in quotes)"
        for account in one.accounts or ["all accounts"]:
            if (one.product, account) in seen:
                yield f"{name}: {one.product} is listed twice for {account}"
            seen.add((one.product, account))
    for name, severity in {"cve_severity": findings.cve_severity, **findings.severities}.items():
        if not _LEAST <= severity <= _MOST:
            yield f"findings: {name} must be a severity from {_LEAST} (critical) to {_MOST} (low)"
