"""What those may ask who read what belongs to their own teams: named lists and single things, and nothing else.

A path that is not here is refused, so a new one leaks nothing until somebody thought of it.
"""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.ports import Forbidden

_LISTS = {"/v1/instances": "team", "/v1/violations": "team", "/v1/images": "team", "/apps": "team_id"}
"""Lists, and the parameter that narrows each to a team."""
_OF_NOBODY = frozenset({"/v1/rules"})
_CHECKED = frozenset(
    {("GET", "/v1/trace"), ("GET", "/v1/instances/{id}"), ("GET", "/apps/{id}"), ("PUT", "/apps/{id}"),
     ("PUT", "/v1/applications/{id}/tickets")}
)  # fmt: skip
"""Where the handler checks the team itself, once it knows which it is; or the write does."""


def check_own_teams(request: web.Request, caller: Caller) -> None:
    """Raise Forbidden where a path may show what belongs to other teams."""
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else ""
    method = "GET" if request.method == "HEAD" else request.method
    if path in _OF_NOBODY or (method, path) in _CHECKED:
        return
    name = _LISTS.get(path)
    if name is None or method != "GET":
        raise Forbidden(
            "read-own-teams", f"{caller.name} reads what belongs to its own teams, and this belongs to all",
            fix="ask for a list with the team, for an instance, or for an application",
        )  # fmt: skip
    wanted = request.query.getall(name, [])
    if not wanted:
        raise Forbidden("read-own-teams", f"{caller.name} must name one of its own teams", fix=f"add {name}=TEAM")
    for team in wanted:
        check_reads_team(caller, team)


def check_reads_team(caller: Caller, team: str | None) -> None:
    """Raise Forbidden for what belongs to a team that the caller may not read, or to none that is known."""
    if not (caller.reads_everything or (team is not None and caller.may_read(team))):
        note = f": {caller.not_written}" if caller.not_written else ""
        raise Forbidden("read-own-teams", f"{caller.name} may not read what belongs to other teams{note}")
