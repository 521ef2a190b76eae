"""Read a merge request, its approvals and an issue by python-gitlab; print them as JSON. Usage: read_gitlab.py URL TOKEN"""

from __future__ import annotations

import json
import sys

import gitlab  # type: ignore[import-not-found]  # it is in the environment of the clients only

server = gitlab.Gitlab(sys.argv[1], private_token=sys.argv[2])
server.auth()
project = server.projects.get("acme/shop/greeter")
(listed,) = project.commits.get("3" * 40).merge_requests()
request = project.mergerequests.get(listed["iid"])
issue = project.issues.get(7)
try:
    project.issues.get(99)
    missing = ""
except gitlab.exceptions.GitlabGetError as exc:
    missing = str(exc.response_code)
print(json.dumps({
    "user": server.user.username, "project": project.id, "iid": request.iid, "sha": request.sha, "state": request.state,
    "approved_by": [one["user"]["username"] for one in request.approvals.get().approved_by],
    "resets": project.approvals.get().reset_approvals_on_push,
    "heads": [one.head_commit_sha for one in request.diffs.list(get_all=True)],
    "protected": [one.name for one in project.protectedbranches.list(get_all=True)],
    "protected_tags": [one.name for one in project.protectedtags.list(get_all=True)],
    "issue": [issue.title, issue.state, issue.references["full"]], "missing": missing,
}))  # fmt: skip
