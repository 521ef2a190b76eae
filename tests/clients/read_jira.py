"""Read an issue, its project and the login's own account by `jira`; print them as JSON. Usage: read_jira.py URL USER TOKEN VERSION"""

from __future__ import annotations

import json
import sys

import jira  # type: ignore[import-not-found]  # it is in the environment of the clients only

server = jira.JIRA(
    sys.argv[1], basic_auth=(sys.argv[2], sys.argv[3]), max_retries=0, options={"rest_api_version": sys.argv[4]}
)
issue = server.issue("PAY-7")
moved = server.issue("PAY-8")
try:
    server.issue("PAY-99")
    missing = 0
except jira.JIRAError as exc:
    missing = exc.status_code
print(json.dumps({
    "key": issue.key, "summary": issue.fields.summary, "status": issue.fields.status.name,
    "category": issue.fields.status.statusCategory.key, "parent": issue.fields.parent.key, "moved": moved.key,
    "type": issue.fields.issuetype.name, "assignee": issue.fields.assignee.displayName,
    "project": server.project("PAY").key, "myself": server.myself()["displayName"], "missing": missing,
}))  # fmt: skip
