"""A route that is created again as it is: AWS answers that it is there, where moto refuses it as one that exists."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws

_DONE = (
    '<CreateRouteResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1-2-3</requestId>'
    "<return>true</return></CreateRouteResponse>"
)


@dataclass
class RepeatedRoutes:
    """Seven Seconds creates the default route of the main table in every run, and AWS accepts it."""

    _made: set[frozenset[tuple[str, str]]] = field(default_factory=set)

    def install(self, aws: CountedAws) -> None:
        aws.extensions["ec2:CreateRoute"] = self._create

    def _create(self, call: AwsCall) -> web.Response | None:
        route = frozenset((name, value) for name, value in call.form.items() if name not in ("Action", "Version"))
        if route in self._made:
            return web.Response(text=_DONE, content_type="text/xml")
        self._made.add(route)
        return None
