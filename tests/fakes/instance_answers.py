"""Answers about instances, as a real aggregator returned them in the demo, and variations of them."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

DATA = Path(__file__).parent.parent / "data" / "console"
Named = Literal["right", "dirty", "five-mistakes"]


def instance_answer(name: Named) -> dict[str, Any]:
    """Return the answer of GET /v1/instances/{id} about an instance of the demo."""
    answer: dict[str, Any] = json.loads((DATA / f"instance-{name}.json").read_text())
    return answer


def whole_answer() -> dict[str, Any]:
    """Return the answer about an instance whose whole chain holds: its review was read too, and its ticket."""
    answer = instance_answer("right")
    lineage = answer["lineage"]
    lineage |= {"complete": True, "not_checked": []}
    approval = {
        "by": "grace",
        "state": "approved",
        "commit": "",
        "at": "",
        "counts": True,
        "why": None,
        "committer": False,
    }
    review = {
        "number": 7, "url": "https://code.example.org/7", "title": "Serve pages", "branch": "pages", "base": "main",
        "head": "ccb6bd28b66f5aa8e6bf60947a9c9f31e804ed08", "author": "ada", "merged_at": "2026-11-27T03:19:25.000Z",
        "merged_by": "grace", "merge_commit": "", "how": "merge_commit", "approvals": [approval], "asked": [],
        "committers": [], "checks": "success", "failed_checks": [],
    }  # fmt: skip
    ticket = {
        "id": "#26", "pattern": "#{number}", "place": "subject", "line": 1, "url": "https://tickets.example.org/26",
        "state": "confirmed", "title": "The console", "status": "open",
    }  # fmt: skip
    change(answer, "review", state="confirmed", reason=None, value={"reviews": [review]})
    change(answer, "ticket", state="confirmed", reason=None, value={"tickets": [ticket], "reviews": []})
    change(answer, "approval", state="confirmed", reason=None, value={
        "people": 2, "required_approvers": 2, "missing": [], "note": "", "approvals": [
            {"approval_type": "CODE_CHANGE", "user_id": "grace", "source": "review", "observed_at": "", "counts": "yes",
             "reason": None, "ledger_index": 33}]})  # fmt: skip
    for verdict in answer["verdicts"]:
        verdict["verdict"] = "pass"
    return answer


def link_of(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a link of an answer's lineage, to be changed."""
    found: dict[str, Any] = next(one for one in answer["lineage"]["links"] if one["link"] == name)
    return found


def change(answer: dict[str, Any], name: str, **members: object) -> dict[str, Any]:
    """Change a link, and whether the chain is complete as the API states it; return the answer."""
    lineage = answer["lineage"]
    link_of(answer, name).update(members)
    lineage["complete"] = not lineage["not_checked"] and all(
        one["state"] in ("confirmed", "asserted") and not one["lacking"]
        for one in lineage["links"]
        if one["link"] in lineage["required"]
    )
    return answer


def statement(*, index: int, recorded_at: str, cause: str = "boot", image: str | None = "a") -> dict[str, Any]:
    """Return a statement as it is listed."""
    return {
        "digest": f"sha256:{index:064x}", "ledger_index": index, "enrolment": 1, "sequence": index, "cause": cause,
        "observed_at": recorded_at, "recorded_at": recorded_at, "image_digest": f"sha256:{image * 64}" if image else None,
    }  # fmt: skip


def envelope(**predicate: object) -> dict[str, Any]:
    """Return the envelope of a statement with these members in its predicate."""
    written = json.loads((DATA.parent / "statement.json").read_text())
    stated = deepcopy(written)
    stated["predicate"] |= predicate
    return {
        "payload": base64.b64encode(json.dumps(stated).encode()).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": "c2ln", "keyid": "SHA256:key"}],
    }


RULES: dict[str, Any] = {
    "rules": [
        {
            "id": name, "version": 1, "title": title, "severity": severity, "rationale": "", "remedy": remedy,
            "audit_relevant": True, "kind": "instance", "link": link, "examples": [], "in_force": True, "reason": None,
            "failing": None, "own": False, "digest": None,
        }
        for name, title, severity, link, remedy in (
            ("source-dirty", "The image was built from committed source", 1, "source", "commit, build again, deploy"),
            ("boot-failed", "The instance booted", 2, "instance", "correct the user data and replace the instance"),
            ("agent-silent", "The agent is heard regularly", 1, "instance", "look at the instance"),
            ("ticket-missing", "The commit names a ticket", 3, "ticket", "name the ticket in the commit message"),
        )
    ]
}  # fmt: skip
