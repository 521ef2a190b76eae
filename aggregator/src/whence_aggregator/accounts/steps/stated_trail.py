"""The trail that was found, as the section `cloudtrail` that states it, with its log bucket and its events. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import partition_of
from whence_aggregator.accounts.found import FoundAccount, ImportNote
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource
from whence_aggregator.accounts.steps import config_recorder, keys
from whence_aggregator.accounts.steps.buckets import further_parts, is_log_target
from whence_aggregator.accounts.steps.stated_log_group import log_group_of, with_created

_Wanted = Callable[[ConfiguredAccount], Sequence[WantedResource]]
_AROUND = ("bucket", "topic", "queue", "subscription")
"""Kinds of what is around a trail: it is stated only if all of it stands so."""
_DEFAULT_AUDITOR = "fullstop"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedTrail:
    """The section, the names of the buckets that it states, and notes."""

    section: Mapping[str, Json] | None = None
    buckets: tuple[str, ...] = ()
    notes: tuple[ImportNote, ...] = ()


def state_trail(found: FoundAccount, wanted: _Wanted) -> StatedTrail:
    """Return the section of one trail: our own, else `Default`, else the first by name.

    A configuration states one trail, of all regions. `wanted` returns what the step wants of an account.
    """
    trails = found.of("trail")
    whole = [one for one in trails if _coverage(one)["multi_region"] and _coverage(one)["global_service_events"]]
    chosen = min(
        whole, key=lambda one: (not one.is_own, one.name != "Default", one.name, str(one.region)), default=None
    )
    notes = [ImportNote(key="cloudtrail", text=_left_out(one, chosen)) for one in trails if one is not chosen]
    if chosen is None:
        return StatedTrail(notes=tuple(notes))
    section = _section(chosen)
    bucket = _log_bucket(chosen, found)
    events = _events(chosen, found)
    around = next(
        (one for one in _candidates(chosen, bucket, events, found) if _fits(section | one, found, wanted)), {}
    )
    if chosen.state["topic"] is not None and "events" not in around:
        text = (
            f"events: the topic {chosen.state['topic']} of the trail {chosen.name} and its queues are not in our form"
        )
        notes.append(ImportNote(key="cloudtrail", text=text))
    buckets = (str(section["s3_bucket_name"]),) if "log_bucket" in around else ()
    meant = (
        [one for one in wanted(found.account(_beside(section | around, found))) if one.kind.name == "bucket"]
        if buckets
        else []
    )
    notes += [ImportNote(key="cloudtrail", text=text) for one in meant for text in further_parts(one, found)]
    if bucket is not None and not buckets:
        text = f"log_bucket: {section['s3_bucket_name']} is in s3_buckets, for it has more than log_bucket states"
        notes.append(ImportNote(key="cloudtrail", text=text))
    stated = with_created(section | around, chosen, found)
    return StatedTrail(section=stated, buckets=buckets, notes=tuple(notes))


def _left_out(one: StandingResource, chosen: StandingResource | None) -> str:
    coverage = _coverage(one)
    what = f"the trail {one.name} of {one.region}"
    if not (coverage["multi_region"] and coverage["global_service_events"]):
        return f"{what}: a configuration states trails of all regions only, with global events"
    assert chosen is not None, "this trail could be chosen itself"
    return f"{what}: a configuration states one, here {chosen.name}"


def _section(trail: StandingResource) -> dict[str, Json]:
    state: Mapping[str, Any] = trail.state
    optional = {"s3_key_prefix": state["delivery"]["prefix"], "kms_key": state["kms_key"], **log_group_of(trail)}
    return {
        "s3_bucket_name": state["delivery"]["bucket"],
        **{name: value for name, value in optional.items() if value is not None},
        "home_region": trail.region,
        "name": trail.name,
        "organization": state["coverage"]["organization"],
        "log_file_validation": state["log_file_validation"],
        "event_selectors": _selectors(state["event_selectors"]),
        "logging": state["logging"],
    }


def _candidates(
    trail: StandingResource, bucket: _LogBucket | None, events: _Events | None, found: FoundAccount
) -> Iterator[dict[str, Json]]:
    """Return what may be around the trail, the most first. One auditor reads the log files and receives events."""
    default = f"arn:{partition_of(str(trail.region))}:iam::{found.target.account_id}:role/{_DEFAULT_AUDITOR}"
    readers = bucket.readers if bucket is not None else ()
    if bucket is not None and events is not None:
        yield {**bucket.stated(events.reader), "events": events.section, **_auditor(events.reader, default)}
    if bucket is not None:
        auditor = default if default in readers else None
        yield {**bucket.stated(auditor), **_auditor(auditor, default)}
    if events is not None:
        about = {"organization_id": bucket.organization_id} if bucket is not None and bucket.organization_id else {}
        yield {**about, "events": events.section, **_auditor(events.reader, default)}
    if bucket is not None and bucket.organization_id is not None:
        yield {"organization_id": bucket.organization_id}


def _auditor(role: str | None, default: str) -> dict[str, Json]:
    return {} if role == default else {"auditor_role": role}


def _fits(section: Mapping[str, Json], found: FoundAccount, wanted: _Wanted) -> bool:
    """Return whether all that a section means around its trail stands as it means it."""
    stated = _beside(section, found)
    if found.refusal(stated, wanted) is not None:
        return False
    meant = [one for one in wanted(found.account(stated)) if one.kind.name in _AROUND]
    return not found.differing(meant)


def _beside(section: Mapping[str, Json], found: FoundAccount) -> Mapping[str, Json]:
    """Return a section of a trail with what it refers to, and with AWS Config, whose files its bucket may hold."""
    return {"cloudtrail": section, **keys.stated(found).section, **config_recorder.stated(found).section}


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogBucket:
    """A bucket with our statements for trails: accounts and organisation that write, and roles that read."""

    accounts: tuple[str, ...]
    organization_id: str | None
    is_of_organization: bool
    """The trail itself is one of the organisation."""
    readers: tuple[str, ...]
    has_config: bool
    """AWS Config of other accounts writes into it."""

    def stated(self, auditor: str | None) -> dict[str, Json]:
        section: dict[str, Json] = {
            "accounts": list(self.accounts), "readers": [one for one in self.readers if one != auditor],
            "organization": self.organization_id is not None and not self.is_of_organization,
            "aws_config": self.has_config,
        }  # fmt: skip
        about = {"organization_id": self.organization_id} if self.organization_id is not None else {}
        return {"log_bucket": {name: value for name, value in section.items() if value}, **about}


def _log_bucket(trail: StandingResource, found: FoundAccount) -> _LogBucket | None:
    name = trail.state["delivery"]["bucket"]  # type: ignore[index,call-overload]  # a mapping, as the provider has it
    bucket = next((one for one in found.of("bucket") if one.name == name), None)
    policy: Any = bucket.state["policy"] if bucket is not None else {}
    if bucket is None or "WhenceTrailWrites" not in policy or is_log_target(bucket.name, found):
        return None
    writes = policy["WhenceTrailWrites"]
    arns = _sources(policy, "WhenceTrailWrites", "aws:SourceArn")
    folders = [str(one).rpartition("/AWSLogs/")[2].partition("/")[0] for one in writes.get("Resource", [])]
    return _LogBucket(
        accounts=tuple(
            sorted({str(one).split(":")[4] for one in arns if ":trail/" in one} - {found.target.account_id})
        ),
        organization_id=next((one for one in folders if one.startswith("o-")), None),
        is_of_organization=bool(_coverage(trail)["organization"]),
        readers=tuple(policy.get("WhenceReadersRead", {}).get("Principal", {}).get("AWS", [])),
        has_config=bool(set(_sources(policy, "WhenceConfigWrites", "aws:SourceAccount")) - {found.target.account_id}),
    )


def _sources(policy: Mapping[str, Any], sid: str, key: str) -> Sequence[str]:
    """Return the values of a condition's key in one of our statements, if a policy has it."""
    condition = policy.get(sid, {}).get("Condition", {})
    return tuple(condition.get("StringEquals", {}).get(key, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Events:
    section: Mapping[str, Json]
    reader: str | None


def _events(trail: StandingResource, found: FoundAccount) -> _Events | None:
    """Return the topic of a trail with its queue, where both are our own."""
    arn = trail.state["topic"]
    subscription = next(
        (one for one in found.of("subscription", region=trail.region) if one.state["topic"] == arn), None
    )
    if arn is None or subscription is None:
        return None
    topic, _, queue = subscription.name.partition("/")
    standing = next((one for one in found.of("queue", region=trail.region) if one.name == queue), None)
    state: Mapping[str, Any] = standing.state if standing is not None else {}
    if not state.get("dead_letters"):
        return None
    section: dict[str, Json] = {
        "topic_name": topic, "queue_name": queue, "receives_max": state["dead_letters"]["receives_max"]
    }  # fmt: skip
    if (key := state["encryption"]["kms_key"]) is not None:
        section["kms_key"] = key
    statements = (state["policy"] or {}).get("Statement", [])
    readers = [each for one in statements if one.get("Sid") == "WhenceReceives" for each in one["Principal"]["AWS"]]
    return _Events(section=section, reader=readers[0] if readers else None)


def _coverage(one: StandingResource) -> Mapping[str, Any]:
    found: Any = one.state["coverage"]
    return dict(found)


def _selectors(found: Mapping[str, Any]) -> Json:
    """Return selectors as the configuration has them; None for advanced ones, which it leaves as they are."""
    if "basic" not in found:
        return None
    return [
        {
            "read_write": one["ReadWriteType"], "management_events": one["IncludeManagementEvents"],
            "exclude_sources": one["ExcludeManagementEventSources"],
            "data_resources": [{"type": each["Type"], "values": each["Values"]} for each in one["DataResources"]],
        }
        for one in found["basic"]
    ]  # fmt: skip
