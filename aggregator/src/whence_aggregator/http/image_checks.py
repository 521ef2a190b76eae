"""`/v1/check`: the rules for an image before it runs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import Query
from whence_aggregator.http.slots import Slots
from whence_aggregator.reports.image_check import WAIT_SECONDS_MAX, ImageChecks, WantedCheck
from whence_common.errors import InputError
from whence_common.identifiers import is_application_id, is_application_version
from whence_common.image_reference import ImageReference

CHECKS_AT_ONCE_MAX = 4
_IMAGE_CHARACTERS_MAX = 600
_SECONDS = re.compile(r"[0-9]{1,2}\Z")


class ImageCheckCalls:
    """Checks images, a few at a time."""

    def __init__(self, checks: ImageChecks) -> None:
        self._checks = checks
        self._slots = Slots("streams", CHECKS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/check", self._check)]

    async def _check(self, request: web.Request) -> JsonResponse:
        """Return the verdicts. Sources are asked for whoever may write for the application's team."""
        query, caller = Query(request, "image", "application", "version", "wait"), request[CALLER]
        text, application = query.text("image", characters_max=_IMAGE_CHARACTERS_MAX), query.text("application")
        if text is None or application is None:
            raise InputError("parameter-missing", "image and application are required",
                             fix="add image=REGISTRY/TEAM/ARTIFACT@sha256:… and application=ID")  # fmt: skip
        if not is_application_id(application):
            raise InputError("parameter-malformed", "application is not the id of an application")
        image = ImageReference.parse(text)
        version = query.text("version") or image.tag or ""
        if version and not is_application_version(version):
            raise InputError("parameter-malformed", "version is not a version of an application")
        team = await self._checks.team_of(application)
        check_reads_team(caller, team)
        wanted = WantedCheck(
            image=image, application_id=application, version=version, registered=team is not None,
            asks=_may_ask(caller, team),
            wait_seconds=_seconds(query.text("wait")),
        )  # fmt: skip
        with self._slots.take(request, caller.name):
            checked = await self._checks.check(wanted, lambda teams: _check_teams(caller, teams))
        return respond_json(checked.to_wire())


def _check_teams(caller: Caller, teams: Sequence[str | None]) -> None:
    """Raise Forbidden for an image that only applications of other teams are known to be."""
    own = caller.reads_everything or any(one is not None and caller.may_read(one) for one in teams)
    if teams and not own:
        check_reads_team(caller, None)


def _may_ask(caller: Caller, team: str | None) -> bool:
    """Return whether sources are asked: their answers are recorded for ever, so only for the application's team."""
    return team is not None and caller.may_write(team)


def _seconds(text: str | None) -> float:
    if text is None:
        return 0.0
    if not _SECONDS.match(text) or int(text) > WAIT_SECONDS_MAX:
        raise InputError("parameter-malformed", f"wait is not a number of seconds up to {WAIT_SECONDS_MAX:.0f}")
    return float(text)
