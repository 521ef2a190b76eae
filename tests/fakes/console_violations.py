"""Answers of the API about violations, as an aggregator gave them; keyword arguments change what a test is about."""

from __future__ import annotations

from typing import Any

AT = "2026-11-27T03:32:12.140Z"
COMPLETE: dict[str, Any] = {"complete": True, "incomplete_total": 0, "incomplete": []}
INCOMPLETE: dict[str, Any] = {
    "complete": False,
    "incomplete_total": 1,
    "incomplete": [
        {
            "source": "inventory", "account_id": "123456789012", "region": "eu-west-1", "name": None,
            "state": "failed", "read_at": None, "age_seconds": None, "failed_at": AT, "reason": "access was denied",
            "permission": "ec2:DescribeInstances", "count": 3,
        }
    ],
}  # fmt: skip
UNKNOWN_CAUSE = {
    "state": "unknown",
    "value": None,
    "reason": "events of CloudTrail are not read: cloud_trail is not configured",
}
NAME = "v-b8ff5066e811767618c7"
EXEMPTION = "e-0123456789abcdef0123"
HOSTILE = '<script>alert(1)</script>" onload="x\u202e\u200b'


def violation(**changes: Any) -> dict[str, Any]:
    """Return a violation as a list has it."""
    return {
        "id": NAME, "state": "open", "rule": "image-mutable", "severity": 3,
        "title": "The image cannot change under its name",
        "remedy": "name it by digest, or by a tag in an immutable registry", "source": "verdict",
        "subject": {"kind": "version", "id": "greeter@1.0"}, "application_id": "greeter", "account_id": "123456789012",
        "team": "hello", "reason": "user data asks for it: it moves", "first_seen": "2026-11-27T03:31:39.088Z",
        "since": "2026-11-27T03:31:39.088Z", "last_seen": AT, "not_confirmed_since": None, "reopened": 0,
        "acknowledged": None, "exemption": None, "members": 6, "not_confirmed": 0, "ledger_index": 120, **changes,
    }  # fmt: skip


def member(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "instance_id": f"i-{number:017x}", "account_id": "123456789012", "region": "eu-central-1", "verdict": "fail",
        "reason": "user data asks for it: it moves", "since": "2026-11-27T03:31:39.088Z", "ledger_index": 44,
        "caused_by": UNKNOWN_CAUSE, **changes,
    }  # fmt: skip


def step(**changes: Any) -> dict[str, Any]:
    return {
        "step": "opened", "at": "2026-11-27T03:31:39.597Z", "by": None, "comment": "user data asks for it: it moves",
        "exemption": None, "recorded_by_then": True, "ledger_index": 120, **changes,
    }  # fmt: skip


def whole(**changes: Any) -> dict[str, Any]:
    """Return a violation as it is shown alone."""
    members = [member(n) for n in range(6)]
    return {
        "at": AT, "known_at": AT, **violation(), "instances": members, "folded": [{"rule": "source-dirty", "instances": 6}],
        "steps": [step()], "caused_by": UNKNOWN_CAUSE, **changes,
    }  # fmt: skip


def listed(*violations: dict[str, Any], next_: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a page of the list, with the counts of what is on it."""
    facets: dict[str, dict[str, int]] = {
        name: {} for name in ("rule", "severity", "team", "account", "kind", "application", "status")
    }
    for one in violations:
        values = {
            "rule": one["rule"], "severity": str(one["severity"]), "team": one["team"] or "",
            "account": one["account_id"] or "", "kind": one["subject"]["kind"],
            "application": one["application_id"] or "", "status": one["state"],
        }  # fmt: skip
        for name, value in values.items():
            facets[name][value] = facets[name].get(value, 0) + 1
    return {
        "at": AT, "known_at": AT, "violations": list(violations), "next": next_, "coverage": COMPLETE,
        "facets": facets, **changes,
    }  # fmt: skip


def exemption(**changes: Any) -> dict[str, Any]:
    scope = {"application": "greeter", "version": "1.0", "account": None, "ami": None, "team": None}
    return {
        "id": EXEMPTION, "rule": "image-mutable", "reason": "1.1 is built on Monday", "granted_by": "ada",
        "granted_at": AT, "until": "2026-12-02T23:59:59.000Z", "ended_at": None, "ended_by": None, "scope": scope,
        **changes,
    }  # fmt: skip


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "id": "image-mutable", "version": 1, "title": "The image cannot change under its name", "severity": 3,
        "rationale": "A tag that moves makes the next boot run something that nobody approved.",
        "remedy": "name it by digest, or by a tag in an immutable registry", "audit_relevant": True,
        "kind": "instance", "link": "image",
        "examples": [
            {"outcome": "pass", "given": {"machine": {"cause": "boot"}}}, {"outcome": "unknown", "given": {}}
        ],
        "own": False, "digest": None, "in_force": True, "reason": None, "failing": None, **changes,
    }  # fmt: skip


def counts(**changes: int) -> dict[str, int]:
    return {"pass": 0, "fail": 0, "unknown": 0, "folded": 0, "total": sum(changes.values()), **changes}


def summary(*groups: dict[str, Any], total: dict[str, int] | None = None, by: str = "rule") -> dict[str, Any]:
    return {
        "by": by, "at": AT, "age_seconds": 0.0, "snapshot": None, "groups": list(groups),
        "total": {"verdicts": total or counts(), "subjects": {}, "unheard": 0}, "findings": None, "coverage": COMPLETE,
    }  # fmt: skip
