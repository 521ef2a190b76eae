"""SARIF 2.1.0, as Trivy and other scanners of images and code write it. Pure.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0. A result is `fail` and `warning` where it states no
other. Trivy states no fingerprint: its results are identified by rule, target and package. SARIF names no account, and
most writers no time: the caller states the account, and a result counts as seen when its file arrived.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from whence_aggregator.findings.fields import (
    CHECK_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    TITLE_CHARACTERS_MAX,
    child,
    children,
    digest_in,
    identifier,
    line,
    links,
    moment_or_none,
    product_id,
)
from whence_aggregator.findings.finding import (
    CRITICAL,
    HIGH,
    LOW,
    MEDIUM,
    UNKNOWN_SEVERITY,
    FileRefused,
    Finding,
    FindingRefused,
    Resource,
    Result,
)
from whence_common.clock import to_instant

VERSION = "2.1.0"
IMAGE_SCANNED = "image-scanned"
"""The check that stands for a whole scan of an image, whatever it found."""
_RUNS_MAX = 100
_RESULTS_MAX = 200_000
_KINDS: Mapping[object, Result] = {
    "pass": "pass", "fail": "fail", "open": "unknown", "review": "manual", "informational": "manual",
    "notApplicable": "manual",
}  # fmt: skip
_LEVELS = {"error": HIGH, "warning": MEDIUM, "note": LOW, "none": LOW}
_TAGS = {"CRITICAL": CRITICAL, "HIGH": HIGH, "MEDIUM": MEDIUM, "LOW": LOW}
_SCORES = ((9.0, CRITICAL), (7.0, HIGH), (4.0, MEDIUM))
_VULNERABILITY = re.compile(r"(?:CVE-[0-9]{4}-[0-9]{4,}|GHSA(?:-[0-9a-z]{4}){3}|[A-Z]{3,8}-[0-9]{4}[-:][0-9]+)\Z")
_PAIR = re.compile(r"^([A-Z][A-Za-z ]{1,30}): (.{1,300})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    product: str
    rules: list[Any]
    by_id: Mapping[str, Mapping[str, Any]]
    observed_at: str
    target: str
    """What the scan was of, as far as the run states it."""
    image_digest: str
    failed: bool


def parse_sarif(document: Mapping[str, Any], *, now: datetime) -> Iterator[Finding | FindingRefused]:
    """Yield each result of a document, or why it is refused. Raises FileRefused."""
    if document.get("version") != VERSION:
        raise FileRefused("sarif-version", f"version is not {VERSION}")
    runs = document.get("runs")
    if not isinstance(runs, list) or len(runs) > _RUNS_MAX:
        raise FileRefused("sarif-runs", f"runs is not a list of at most {_RUNS_MAX} runs")
    for number, stated in enumerate(runs):
        run = _run(stated if isinstance(stated, dict) else {}, now)
        if isinstance(run, FindingRefused):
            yield run
            continue
        results = stated.get("results")
        if results is not None and (not isinstance(results, list) or len(results) > _RESULTS_MAX):
            raise FileRefused("sarif-results", f"runs[{number}].results is not a list of at most {_RESULTS_MAX}")
        if run.image_digest:
            yield _scanned(run)
        for result in results or ():
            try:
                yield _finding(result if isinstance(result, dict) else {}, run)
            except FindingRefused as exc:
                yield exc


def failed_runs(document: Mapping[str, Any]) -> bool:
    """Return whether a run states that its scanner failed: then the document is not complete."""
    return any(map(_has_failed, children(document, "runs")))


def _has_failed(run: Mapping[str, Any]) -> bool:
    return any(one.get("executionSuccessful") is False for one in children(run, "invocations"))


def _scanned(run: _Run) -> Finding:
    """Return that an image was scanned, so that one in which nothing was found differs from one never scanned."""
    return Finding(
        product=run.product,
        uid=f"sarif-scan-{run.image_digest}",
        check_id=IMAGE_SCANNED,
        title="The image is scanned for vulnerabilities",
        severity=LOW,
        result="unknown" if run.failed else "pass",
        resource=Resource(image_digest=run.image_digest, name=run.target, kind="image"),
        observed_at=run.observed_at,
        detail="the scanner states that it failed" if run.failed else "",
    )


def _run(run: Mapping[str, Any], now: datetime) -> _Run | FindingRefused:
    driver, properties = child(child(run, "tool"), "driver"), child(run, "properties")
    try:
        product = product_id(driver.get("name"), "tool.driver.name")
    except FindingRefused as exc:
        return exc
    rules = driver.get("rules")
    rules = rules if isinstance(rules, list) else []
    ended = [moment_or_none(one.get("endTimeUtc"), "endTimeUtc", now=now) for one in children(run, "invocations")]
    digests = properties.get("repoDigests")
    named = [line(one, NAME_CHARACTERS_MAX) for one in digests[:10]] if isinstance(digests, list) else []
    return _Run(
        product=product,
        rules=rules,
        by_id={one["id"]: one for one in rules if isinstance(one, dict) and isinstance(one.get("id"), str)},
        observed_at=max(filter(None, ended), default="") or to_instant(now),
        target=line(properties.get("imageName"), NAME_CHARACTERS_MAX) or next(iter(named), ""),
        image_digest=digest_in(*named, line(properties.get("imageName"), NAME_CHARACTERS_MAX)),
        failed=_has_failed(run),
    )


def _finding(result: Mapping[str, Any], run: _Run) -> Finding:
    rule = _rule(result, run)
    check_id = identifier(result.get("ruleId") or rule.get("id"), "ruleId", CHECK_CHARACTERS_MAX)
    message = child(result, "message").get("text")
    pairs = dict(_PAIR.findall(message[:20_000])) if isinstance(message, str) else {}
    location = _location(result)
    target = run.image_digest or run.target or location
    kind = result.get("kind", "fail")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise FindingRefused("finding-result", "kind", f"{line(str(kind), 40)!r} is not a kind of result")
    fixed = line(pairs.get("Fixed Version"), 200)
    package = line(pairs.get("Package"), 200)
    summary = child(rule, "shortDescription").get("text")
    return Finding(
        product=run.product,
        uid=_uid(result, check_id, target, location, package),
        check_id=check_id,
        title=line(f"{check_id} in {package}" if package else summary or message or check_id, TITLE_CHARACTERS_MAX),
        severity=_severity(result, rule),
        result=_KINDS[kind],
        suppressed=_is_suppressed(result),
        closed=result.get("baselineState") == "absent",
        vulnerability=_VULNERABILITY.match(check_id) is not None,
        resource=Resource(
            image_digest=run.image_digest or digest_in(location),
            name=target or location,
            kind="image" if run.target or run.image_digest else "",
        ),
        observed_at=run.observed_at,
        detail=line(message),
        remedy=f"update {package} to {fixed}" if package and fixed else line(child(rule, "help").get("text"), 500),
        references=links((rule.get("helpUri"),)),
    )  # fmt: skip


def _rule(result: Mapping[str, Any], run: _Run) -> Mapping[str, Any]:
    stated = child(result, "rule")
    index = result.get("ruleIndex", stated.get("index"))
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(run.rules):
        found = run.rules[index]
        if isinstance(found, dict) and result.get("ruleId") in (None, found.get("id")):
            return found
    name = result.get("ruleId") or stated.get("id")
    return run.by_id.get(name, {}) if isinstance(name, str) else {}


def _location(result: Mapping[str, Any]) -> str:
    for one in children(result, "locations", most=10):
        for logical in children(one, "logicalLocations", most=1):
            if name := line(logical.get("fullyQualifiedName"), NAME_CHARACTERS_MAX):
                return name
        if uri := line(child(child(one, "physicalLocation"), "artifactLocation").get("uri"), NAME_CHARACTERS_MAX):
            return uri
    return ""


def _uid(result: Mapping[str, Any], check_id: str, target: str, location: str, package: str) -> str:
    """Return what identifies a result: what its scanner states, else a digest of what it is about."""
    guid = result.get("correlationGuid")
    prints = child(result, "partialFingerprints") or child(result, "fingerprints")
    stated = [f"{name}={value}" for name, value in sorted(prints.items()) if isinstance(value, str)]
    parts = [check_id, target, location, package, *([guid] if isinstance(guid, str) else stated)]
    return "sarif-" + hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:40]


def _severity(result: Mapping[str, Any], rule: Mapping[str, Any]) -> int:
    properties = child(rule, "properties")
    tags = properties.get("tags")
    named = [_TAGS[one] for one in tags[:50] if isinstance(one, str) and one in _TAGS] if isinstance(tags, list) else []
    if named:
        return min(named)
    try:
        score = float(str(properties.get("security-severity")))
        return next((severity for least, severity in _SCORES if score >= least), LOW)
    except ValueError:
        level = result.get("level") or child(rule, "defaultConfiguration").get("level") or "warning"
        return _LEVELS.get(level, UNKNOWN_SEVERITY) if isinstance(level, str) else UNKNOWN_SEVERITY


def _is_suppressed(result: Mapping[str, Any]) -> bool:
    """Return whether a suppression was accepted, as each is that states no status."""
    return any(one.get("status", "accepted") == "accepted" for one in children(result, "suppressions"))
