"""Takes out of the evidence what stands for "not known", so that no condition can pass because of it. Pure.

Built-in rules read words such as `unknown`, and empty texts, with care; a condition such as `life != 'terminated'` does
not. To conditions, what is not known is absent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

Members = dict[str, Any]
_OF_MACHINE_BY_USER_DATA = ("application_id", "application_version", "source", "masked")
_ALWAYS_STATED = ("cause", "runs", "counts_heartbeats", "user_data", "problems", "drift")


def known_only(document: Members) -> Members:
    """Return the evidence without what is not known in it."""
    found = {name: one for name, one in document.items() if (name, one) != ("life", "unknown")}
    found = _without_empty(found, ("life_since",))
    for structure, member in _outcomes(found):
        if structure.get(member) == "unknown":
            del structure[member]
    for name, known in _KNOWN.items():
        if isinstance(found.get(name), dict):
            found[name] = known(found[name])
    return found


def _outcomes(document: Members) -> Iterator[tuple[Members, str]]:
    """Return the structures that state an outcome, with the name of the member that does."""
    for name in ("ami", "image", "commit"):
        if name in document:
            yield document[name], "outcome"
    for one in document.get("scans", {}).values():
        yield one, "outcome"
    for one in (*document.get("links", {}).values(), *document.get("tickets", ())):
        yield one, "state"


def _without_empty(members: Members, names: Collection[str]) -> Members:
    return {name: one for name, one in members.items() if name not in names or one != ""}


def _machine(machine: Members) -> Members:
    unread = _OF_MACHINE_BY_USER_DATA if machine.get("user_data", "read") != "read" else ()
    some = {name: one for name, one in machine.items() if name not in unread}
    return _without_empty(some, some.keys() - {*_OF_MACHINE_BY_USER_DATA, *_ALWAYS_STATED})


def _heard(heard: Members) -> Members:
    unheard = ("clock", "skew_seconds") if heard.get("clock") == "not heard" else ()
    some = {name: one for name, one in heard.items() if name not in unheard}
    return _without_empty(some, ("last_seen", "listening_since"))


def _cloud(cloud: Members) -> Members:
    if not cloud.get("listed_at") or cloud.get("unlisted"):
        return {}
    compared = cloud if cloud.get("user_data_digest") else {n: one for n, one in cloud.items() if n != "difference"}
    compared = {name: one for name, one in compared.items() if name != "unlisted"}
    return _without_empty(compared, ("state", "asked_at", "launched_at", "user_data_digest"))


def _source(source: Members) -> Members:
    if not source.get("stated", True):
        return {"stated": False}
    return _without_empty(source, ("url", "revision", "host", "path"))


def _application(application: Members) -> Members:
    if not application.get("registered", True):
        return {"registered": False}
    return {name: one for name, one in application.items() if (name, one) != ("criticality_level", 0)}


def _image(image: Members) -> Members:
    return _without_empty(image, ("repository", "digest"))


def _account(account: Members) -> Members:
    return _without_empty(account, ("status",))


_KNOWN = {
    "machine": _machine, "heard": _heard, "cloud": _cloud, "source": _source, "application": _application,
    "image": _image, "account": _account,
}  # fmt: skip
