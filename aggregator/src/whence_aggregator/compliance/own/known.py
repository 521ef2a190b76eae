"""Takes out of the evidence what stands for "not known", so that no condition can pass because of it. Pure.

Built-in rules read words such as `unknown`, and empty texts, with care; a condition such as `life != 'terminated'` does
not. To conditions, what is not known is absent, and so is what an unread source could still deny.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from whence_aggregator.compliance.gathering import MASKED_KEYS_MAX
from whence_aggregator.trace.derive_review import NOT_CONFIGURED
from whence_aggregator.trace.tickets import TICKETS_MAX

Members = dict[str, Any]
_OF_MACHINE_BY_USER_DATA = ("application_id", "application_version", "source", "masked")
_ALWAYS_STATED = ("cause", "runs", "counts_heartbeats", "user_data", "problems", "drift")
_OUTCOMES = (("outcome", ("outcome", "reason")), ("state", ("state", "reason", "problem")))
"""What states whether something is known, with what states nothing where it is not."""
_REGISTRY = "the registry"
_LINKS_BY_REGISTRY = ("image", "source")


def known_only(document: Members) -> Members:
    """Return the evidence without what is not known in it."""
    found = {name: one for name, one in document.items() if (name, one) != ("life", "unknown")}
    found = _without_empty(found, ("life_since",))
    found = _without_what_others_decide(found)
    for name in ("ami", "ami_content", "image", "commit"):
        if name in found:
            found[name] = _if_known(found[name])
    for name in ("links", "scans"):
        if name in found:
            found[name] = {key: _if_known(one) for key, one in found[name].items()}
    if "tickets" in found:
        found["tickets"] = [_if_known(one) for one in found["tickets"]]
    for name, known in _KNOWN.items():
        if isinstance(found.get(name), dict):
            found[name] = known(found[name])
    return found


def _without_what_others_decide(document: Members) -> Members:
    """Return the evidence without the members that are not known because something else is not."""
    found, links = dict(document), dict(document.get("links", {}))
    if any(one.get("source") == _REGISTRY and one.get("outcome", "read") != "read" for one in found.get("reads", ())):
        found.pop("source", None)
        for name in _LINKS_BY_REGISTRY:
            if links.get(name, {}).get("state") == "asserted":  # what the registry has may contradict it
                del links[name]
    if links.get("source", {}).get("state") == "unknown" and not found.get("source", {}).get("stated", True):
        del found["source"]
    review = links.get("review", {})
    if review.get("state") == "unknown" and not str(review.get("reason", "")).startswith(NOT_CONFIGURED):
        found.pop("tickets", None)  # the review may name more
    if len(found.get("tickets", ())) >= TICKETS_MAX:
        del found["tickets"]
    if found.get("kind") == "instance" and found.get("machine", {}).get("user_data") == "unreadable":
        found.pop("application", None)
    return {**found, "links": links} if "links" in found else found


def _if_known(structure: Members) -> Members:
    """Return a structure that states an outcome or a state; where that is unknown, without it and what explains it."""
    for member, explained in _OUTCOMES:
        if structure.get(member) == "unknown":
            return _without(structure, explained)
    return structure


def _without(members: Members, names: Collection[str]) -> Members:
    return {name: one for name, one in members.items() if name not in names}


def _without_empty(members: Members, names: Collection[str]) -> Members:
    return {name: one for name, one in members.items() if name not in names or one != ""}


def _machine(machine: Members) -> Members:
    unread = _OF_MACHINE_BY_USER_DATA if machine.get("user_data", "read") != "read" else ()
    some = _without(machine, unread)
    if len(some.get("masked", ())) >= MASKED_KEYS_MAX:
        del some["masked"]  # there may be more
    return _without_empty(some, some.keys() - {*_OF_MACHINE_BY_USER_DATA, *_ALWAYS_STATED})


def _heard(heard: Members) -> Members:
    unheard = ("clock", "skew_seconds") if heard.get("clock") == "not heard" else ()
    return _without_empty(_without(heard, unheard), ("last_seen", "listening_since"))


def _cloud(cloud: Members) -> Members:
    if not cloud.get("listed_at") or cloud.get("unread"):
        return {}
    found = dict(cloud)
    found.pop("unread", None)
    read = bool(cloud.get("user_data_digest"))
    if not read or not cloud.get("same_launch", True) or cloud.get("next_start"):
        found.pop("difference", None)
    if not cloud.get("launched_at"):
        found.pop("same_launch", None)
    if not cloud.get("state"):
        found.pop("next_start", None)
    unread = ("user_data_unread",) if not read else ()
    return _without_empty(found, ("state", "asked_at", "launched_at", "user_data_digest", *unread))


def _source(source: Members) -> Members:
    if not source.get("stated", True):
        return {"stated": False}
    return _without_empty(source, ("url", "revision", "host", "path"))


def _commit(commit: Members) -> Members:
    """Return the commit; a reason is empty also where its branch or its signature was not read."""
    explained = (("branch_reason", "reachable"), ("signature_reason", "signature"))
    return _without(commit, [why for why, of in explained if of not in commit])


def _application(application: Members) -> Members:
    if not application.get("registered", True):
        return {"registered": False}
    return {name: one for name, one in application.items() if (name, one) != ("criticality_level", 0)}


def _image(image: Members) -> Members:
    return _without_empty(image, ("repository", "digest"))


def _ami_content(content: Members) -> Members:
    return _without_empty(content, ("digest",)) if "state" in content else {}


def _machine_image(image: Members) -> Members:
    some = _without_empty(image, ("statement_digest",))
    if len(some.get("packages", ())) != some.get("differing"):
        some.pop("packages", None)  # there may be more
    return some


def _account(account: Members) -> Members:
    unread = [why for why, of in (("reason", "listed"), ("events_failing", "events")) if of not in account]
    return _without_empty(_without(account, unread), ("status",))


_KNOWN = {
    "machine": _machine, "heard": _heard, "cloud": _cloud, "source": _source, "commit": _commit,
    "application": _application, "image": _image, "account": _account, "ami_content": _ami_content,
    "machine_image": _machine_image,
}  # fmt: skip
