"""The facts beside the verdict on an instance: what it is, whose it is, since when, and how old the answer is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.console.ages import ago
from whence_aggregator.console.frame import part
from whence_aggregator.console.link_pairs import LinkPair
from whence_aggregator.console.link_words import by_name, value_of

_SINCE = {"failed": "Failed at", "stop": "Stopped at"}


def instance_facts(lineage: Mapping[str, Any], application: Mapping[str, Any] | None = None) -> Sequence[LinkPair]:
    """Return the facts that are known. `application` is the registration of what runs, which names who is on call."""
    return [one for one in _facts(lineage, application) if one.value]


def on_call_missing(application: str) -> str:
    """Return what stands in place of who is on call: how to state it."""
    return f"not stated: set incident_contact of {application}, with PUT /apps/{part(application)}"


def checkpoint_size(note: str) -> int | None:
    """Return how many entries a signed checkpoint covers; None if it is not one."""
    lines = note.split("\n")
    return int(lines[1]) if len(lines) > 1 and lines[1].isascii() and lines[1].isdigit() else None


def _facts(lineage: Mapping[str, Any], registered: Mapping[str, Any] | None) -> Iterator[LinkPair]:
    links, at = by_name(lineage), lineage["at"]
    yield LinkPair(name="Instance", value=str(lineage["subject"]["instance"]), form="code")
    application = str(value_of(links, "application").get("application_id") or "")
    yield LinkPair(name="Application", value=application, path=f"/applications/{part(application)}")
    version = str(value_of(links, "version").get("application_version") or "")
    path = f"/applications/{part(application)}/versions/{part(version)}" if application else ""
    yield LinkPair(name="Version", value=version, path=path)
    team = value_of(links, "team")
    team_id = str(team.get("resolved") or team.get("team_id") or "")
    yield LinkPair(name="Team", value=team_id, path=f"/teams/{part(team_id)}")
    if registered is not None:
        yield LinkPair(name="On call", value=registered.get("incident_contact") or on_call_missing(application))
    account = str(value_of(links, "account").get("account_id") or "")
    named = str(value_of(links, "account").get("name") or account)
    region = str(value_of(links, "instance").get("region") or "")
    yield LinkPair(name="Account", value=named, path=f"/accounts/{part(account)}", note=region)
    yield from _times(lineage, value_of(links, "instance"), at)


def _times(lineage: Mapping[str, Any], instance: Mapping[str, Any], at: object) -> Iterator[LinkPair]:
    recorded = str(instance.get("recorded_at") or "")
    since = _SINCE.get(str(instance.get("cause")), "So since")
    before = ago(recorded, at)
    yield LinkPair(name=since, value=recorded, form="time", note=f"{before} ago" if before else "")
    if lineage["heard"] is not None:
        seen = str(lineage["last_seen"] or "")
        age = ago(seen, at)
        yield LinkPair(name="Last heard", value=seen or "never", form="time", note=f"{age} ago" if age else "")
    if lineage["life"] != "unknown":
        life_since = lineage["life_since"]
        note = f"since {ago(life_since, at)}" if life_since and ago(life_since, at) else ""
        yield LinkPair(name="By the EC2 API", value=str(lineage["life"]), note=note)
    start = lineage["started_by"]["value"]
    if start is not None:
        person = (start.get("person") or {}).get("name") or (start.get("by") or {}).get("arn") or ""
        yield LinkPair(name="Started by", value=str(person), note=str(start["event"]))
    size = checkpoint_size(str(lineage["checkpoint"]))
    if size is not None:
        yield LinkPair(name="Trace tied to", value=f"checkpoint {size:,}", path="/evidence")
