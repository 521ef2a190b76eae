"""The paths for callers that may read only resources of their own teams.

A path that is not listed here is refused, so a new path exposes no other team's resources by default.
"""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.ports import Forbidden
from whence_aggregator.trace.lineage import Lineage, without_user_data

_NAMED = {"mint-applications": "/apps", "mint-application": "/apps/{id}", "mint-renewal": "/apps/{id}/renewal"}
"""Routes whose path is a setting, by their name, with the path that stands for it here."""
_LISTS = {"/v1/instances": "team", "/v1/violations": "team", "/v1/images": "team", "/apps": "team_id",
          "/v1/applications": "team", "/v1/changes": "team", "/v1/findings": "team",
          "/v1/reports": "team", "/v1/credentials": "team",
          "/v1/summary": "team", "/v1/summary/trend": "team"}  # fmt: skip
"""Lists, each with the parameter that restricts it to a team."""
_OF_NOBODY = frozenset({"/v1/rules"})
_CHECKED = frozenset(
    {("GET", "/v1/trace"), ("GET", "/v1/instances/{id}"), ("GET", "/apps/{id}"), ("PUT", "/apps/{id}"),
     ("PUT", "/v1/applications/{id}/tickets"), ("GET", "/v1/applications/{id}"), ("PUT", "/v1/applications/{id}"),
     ("PATCH", "/v1/applications/{id}"), ("GET", "/v1/applications/{id}/history"),
     ("GET", "/v1/applications/{id}/handover"), ("POST", "/v1/applications/{id}/handover"),
     ("POST", "/v1/applications/{id}/handover/accept"), ("POST", "/v1/applications/{id}/handover/decline"),
     ("POST", "/v1/applications/{id}/handover/withdraw"), ("GET", "/auth"),
     ("GET", "/api/auth"), ("GET", "/v1/people/{uid}"),
     ("GET", "/apps/{id}/versions"), ("GET", "/apps/{id}/versions/{version}"), ("PUT", "/apps/{id}/versions/{version}"),
     ("GET", "/apps/{id}/versions/{version}/approvals"), ("POST", "/apps/{id}/versions/{version}/approvals"),
     ("GET", "/apps/{id}/approvals"), ("GET", "/v1/applications/{id}/versions"),
     ("GET", "/v1/applications/{id}/versions/{version}"), ("GET", "/v1/diff"),
     ("POST", "/v1/findings"), ("GET", "/v1/violations/{id}"), ("POST", "/v1/violations/{id}/acknowledge"),
     ("POST", "/v1/violations/{id}/exempt"), ("POST", "/v1/violations/{id}/undo"), ("POST", "/v1/exemptions/{id}/undo"),
     ("GET", "/v1/check"), ("POST", "/v1/reports"), ("GET", "/v1/reports/{digest}"),
     ("GET", "/api/violations"), ("GET", "/api/violations/{id}"), ("GET", "/api/violation-types"),
     ("POST", "/api/violations/{id}/resolution"), ("GET", "/api/violation-count"),
     ("GET", "/api/violation-count/{account}"), ("POST", "/api/whitelisting-rules"),
     ("PUT", "/api/whitelisting-rules/{id}"), ("DELETE", "/api/whitelisting-rules/{id}"),
     ("PATCH", "/apps/{id}"), ("DELETE", "/apps/{id}"), ("POST", "/apps/{id}/renewal"),
     ("GET", "/v1/credentials/{id}"), ("POST", "/v1/credentials/{id}/renew"), ("POST", "/v1/credentials/{id}/revoke"),
     ("GET", "/api/lifecycles/applications/{name}/versions"),
     ("GET", "/api/lifecycles/applications/{name}/versions/{version}")}
)  # fmt: skip
"""Requests whose handler checks the team after it has loaded the resource; writes check it in any case."""


def check_own_teams(request: web.Request, caller: Caller) -> None:
    """Raise Forbidden if the response may contain resources of other teams."""
    resource = request.match_info.route.resource
    path = _NAMED.get(resource.name or "", resource.canonical) if resource is not None else ""
    method = "GET" if request.method == "HEAD" else request.method
    if path in _OF_NOBODY or (method, path) in _CHECKED:
        return
    name = _LISTS.get(path)
    if name is None or method != "GET":
        raise Forbidden(
            "read-own-teams", f"{caller.name} may read resources of its own teams only, and this path has others too",
            fix="request a list of one of its teams, an instance, or an application",
        )  # fmt: skip
    wanted = request.query.getall(name, [])
    if not wanted:
        raise Forbidden(
            "read-own-teams",
            f"{caller.name} must name one of its own teams",
            fix=f"add {name}=TEAM, or --team TEAM to the command",
        )
    for team in wanted:
        check_reads_team(caller, team)


def check_reads_team(caller: Caller, team: str | None) -> None:
    """Raise Forbidden unless the caller may read resources of the team. `team` is None if the owner is unknown."""
    if not (caller.reads_everything or (team is not None and caller.may_read(team))):
        note = f": {caller.not_written}" if caller.not_written else ""
        raise Forbidden("read-own-teams", f"{caller.name} may not read resources of other teams{note}")


def as_read_by(caller: Caller, lineage: Lineage) -> Lineage:
    """Return a lineage as a caller may read it: user data is a right of its own. Raises Forbidden."""
    owner = lineage.link("team").value
    check_reads_team(caller, owner.get("team_id") if owner is not None else None)
    return lineage if caller.may_read_user_data else without_user_data(lineage)
