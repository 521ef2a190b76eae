"""Jira's issues, projects and the login's own account, by version 3 of Cloud and version 2 of Server.

tests/integration/test_tracker_clients.py drives it by `jira`, a client that others wrote.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from fakes.outside import OutsideHost

AT = "2026-11-20T11:00:00.000+0100"


@dataclass
class JiraHost(OutsideHost):
    """Jira with the project PAY; `user` signs in with `password`."""

    version: int = 3
    user: str = "robot@example.org"
    password: str = "t1"

    def __post_init__(self) -> None:
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        self.authorization = ("Authorization", f"Basic {pair}")
        account = {"accountId": "5b10a2844c20165700ede21g"} if self.version == 3 else {"name": "robot", "key": "robot"}
        self.answers[self.at("/myself")] = {**account, "displayName": "Robot", "active": True}
        self.answers[self.at("/serverInfo")] = {
            "baseUrl": self.url, "version": "9.12.0", "versionNumbers": [9, 12, 0],
            "deploymentType": "Cloud" if self.version == 3 else "Server",
        }  # fmt: skip
        self.answers[self.at("/field")] = []
        self.project("PAY")

    def limited(self) -> web.Response:
        reset = datetime.fromtimestamp(self.reset_at, UTC).strftime("%Y-%m-%dT%H:%MZ")
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset, "RateLimit-Reason": "jira-burst-based"}
        return web.json_response({"errorMessages": ["Rate limit exceeded."]}, status=429, headers=headers)

    def at(self, rest: str) -> str:
        return f"/rest/api/{self.version}{rest}"

    def project(self, key: str) -> None:
        self.answers[self.at(f"/project/{key}")] = {"id": "10000", "key": key, "name": key}

    def issue(
        self, key: str, *, asked: str | None = None, category: str = "indeterminate", status: str = "In Review",
        resolved: str | None = None, **fields: Any,
    ) -> None:  # fmt: skip
        """Add an issue; `asked` is the key by which it is found, if it was moved."""
        project = key.rpartition("-")[0]
        self.answers[self.at(f"/issue/{asked or key}")] = {
            "id": "10042", "key": key, "self": f"{self.url}{self.at('/issue/10042')}",
            "fields": {
                "summary": "Let customers pay", "created": AT, "updated": AT, "project": {"id": "1", "key": project},
                "status": {"name": status, "statusCategory": {"id": 4, "key": category, "name": "In Progress"}},
                "issuetype": {"name": "Story", "subtask": False}, "assignee": {"displayName": "Bob", "name": "bob"},
                "parent": {"key": f"{project}-1", "id": "1"}, "resolutiondate": resolved,
                "resolution": {"name": "Done"} if resolved else None, **fields,
            },
        }  # fmt: skip
