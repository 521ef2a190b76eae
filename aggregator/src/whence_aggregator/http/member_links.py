"""The states of the links of some instances that a violation concerns, as lists of instances have them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.callers.caller import Caller
from whence_aggregator.http.parameters import Query
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.tracer import Tracer
from whence_common.errors import InputError

LINK_PARAMETERS = ("links", "links_from")
_TRACED_MAX = 50
_NUMBER = re.compile(r"[0-9]{1,3}\Z")


def wanted_links(query: Query) -> slice:
    """Return the part of the list that is to be traced; an empty one without `links`. Raises InputError."""
    count, first = query.text("links") or "0", query.text("links_from") or "0"
    for name, text, most in (("links", count, _TRACED_MAX), ("links_from", first, 999)):
        if not _NUMBER.match(text) or int(text) > most:
            raise InputError("parameter-malformed", f"{name} must be a number from 0 to {most}")
    return slice(int(first), int(first) + int(count))


async def with_links(
    shown: Mapping[str, Any], wanted: slice, *, tracer: Tracer, moment: Moment, caller: Caller
) -> dict[str, Any]:
    """Return a violation with `lineage` of a part of its instances; None where the caller may not read one."""
    instances: Sequence[Mapping[str, Any]] | None = shown["instances"]
    asked = [one["instance_id"] for one in (instances or ())[wanted]]
    if instances is None or not asked:
        return dict(shown)
    states: dict[str, object] = {}
    for lineage in await tracer.instances(asked, moment=moment):
        owner = lineage.link("team").value
        if caller.may_read(owner["team_id"] if owner is not None else ""):
            states[lineage.instance_id] = lineage.states_to_wire()
    traced = [{**one, "lineage": states.get(one["instance_id"])} for one in instances[wanted]]
    return {**shown, "instances": [*instances[: wanted.start], *traced, *instances[wanted.stop :]]}
