"""Compares two sides, link by link. Pure: equal sides have no difference, and swapped sides a mirrored one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from whence_aggregator.changes.documents import DocumentDifference, differing
from whence_aggregator.changes.encoded import EncodedRange
from whence_aggregator.changes.ranges import CommitRange, SourceCommit
from whence_aggregator.changes.subject import Compared
from whence_aggregator.trace.facts import Registered

_OF_INSTANCES = ("account", "team", "instance", "ami", "user_data")
"""Links that are about an instance: versions and images have none of their own."""
_VALUES: Mapping[str, tuple[str, ...]] = {
    "account": ("account_id", "name", "owner", "status"),
    "team": ("team_id", "name"),
    "instance": ("instance_id", "region", "instance_type", "proof", "cause"),
    "ami": ("image_id",),
    "user_data": ("digest",),
    "application": ("application_id", "name", "active"),
    "version": ("application_version",),
    "image": ("reference", "repository", "digest", "index_digest"),
    "source": ("url", "revision", "dirty", "said_by", "builder", "job", "registered_url"),
    "commit": ("commit", "repository", "author", "subject", "committed_at", "signature"),
    "specification": ("url",),
}
"""The parts of a link's value that are compared; the others, such as times of reports, always differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """The verdict of a rule; `unknown` where an earlier verdict is no longer stored."""

    verdict: str
    reason: str = ""

    def to_wire(self) -> dict[str, str]:
        return {"verdict": self.verdict, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: the lineage of an instance, as its caller may read it."""

    subject: Compared
    instance_id: str
    """The instance whose lineage this is; for a version or an image, one that runs or ran it."""
    at: str
    known_at: str
    links: Mapping[str, Mapping[str, Any]]
    """As the API shows them, by name."""
    not_checked: Mapping[str, str] = field(default_factory=dict)
    layers: str = ""
    """A digest over the digests of all layers of the image; empty if the registry was not read."""
    layer_digests: tuple[str, ...] = ()
    """Those of the manifest, from the base upwards; empty if they were not recorded."""
    commit: SourceCommit | None = None
    patterns: tuple[str, ...] = ()
    """The ticket patterns of the application."""
    application: Registered | None = None
    verdicts: Mapping[str, RuleVerdict] | None = None
    """By rule; None for what is no instance."""
    images: tuple[str, ...] = ()
    """The images that the instances of a version run, if there is more than one."""
    last_ran: str | None = None
    """The last time that an instance ran it, which is `at`; None if one still does, or a time was asked about."""

    def to_wire(self) -> dict[str, Any]:
        return {
            "subject": self.subject.to_wire(),
            "instance_id": self.instance_id,
            "at": self.at,
            "known_at": self.known_at,
            "images": list(self.images),
            "last_ran": self.last_ran,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """A link whose state or value differs."""

    link: str
    a: Mapping[str, Any]
    b: Mapping[str, Any]

    def to_wire(self) -> dict[str, Any]:
        return {"link": self.link, "a": dict(self.a), "b": dict(self.b)}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """A rule whose verdict differs; None: the rule did not judge that side."""

    rule: str
    a: RuleVerdict | None
    b: RuleVerdict | None

    def to_wire(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "a": self.a.to_wire() if self.a is not None else None,
            "b": self.b.to_wire() if self.b is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between two sides, what does not, and what is not known."""

    a: Side
    b: Side
    links: tuple[LinkChange, ...]
    same: tuple[str, ...]
    user_data: DocumentDifference | None
    """None if user data is not compared, or is the same."""
    layers: str
    """`same`, `changed` or `unknown`."""
    commits: CommitRange | EncodedRange
    verdicts: tuple[VerdictChange, ...]
    not_known: Mapping[str, str]
    """What was not compared or not checked, and why."""

    @property
    def equal(self) -> bool:
        """Return whether nothing differs, as far as it is known."""
        keys = self.user_data is not None and bool(self.user_data.changes)
        return not (self.links or keys or self.layers == "changed" or self.verdicts)

    def mirrored(self) -> Difference:
        """Return the same difference with the sides swapped."""
        return replace(
            self, a=self.b, b=self.a,
            links=tuple(replace(one, a=one.b, b=one.a) for one in self.links),
            user_data=self.user_data.mirrored() if self.user_data is not None else None,
            commits=self.commits.mirrored(),
            verdicts=tuple(replace(one, a=one.b, b=one.a) for one in self.verdicts),
        )  # fmt: skip

    def to_wire(self) -> dict[str, Any]:
        user_data = self.user_data or DocumentDifference()
        return {
            "a": self.a.to_wire(),
            "b": self.b.to_wire(),
            "equal": self.equal,
            "links": [one.to_wire() for one in self.links],
            "same": list(self.same),
            "user_data": {
                "changes": [one.to_wire() for one in user_data.changes],
                "masked": list(user_data.masked),
                "cut": user_data.cut,
            },
            "layers": self.layers,
            "layer_digests": {
                "only_a": _beside(self.a, self.b),
                "only_b": _beside(self.b, self.a),
            },
            "commits": self.commits.to_wire(patterns_of(self.a, self.b)),
            "verdicts": [one.to_wire() for one in self.verdicts],
            "not_known": [{"part": part, "reason": reason} for part, reason in self.not_known.items()],
        }


def patterns_of(a: Side, b: Side) -> tuple[str, ...]:
    """Return the ticket patterns of both sides' applications."""
    return tuple(dict.fromkeys((*a.patterns, *b.patterns)))


def compare(a: Side, b: Side, commits: CommitRange | EncodedRange) -> Difference:
    """Return what differs between two sides. `commits` are those between their commits, in the same direction."""
    left_out = _left_out(a, b)
    names = [name for name in dict.fromkeys((*a.links, *b.links)) if name not in left_out]
    changed = [change for name in names if (change := _link_change(name, a, b)) is not None]
    unknown = _unknown(a, b, names)
    user_data = None if "user_data" in left_out else _user_data(a, b)
    layers = _same_or_changed(a.layers, b.layers)
    return Difference(
        a=a, b=b,
        links=tuple(changed),
        same=tuple(name for name in names if name not in {one.link for one in changed} | unknown.keys()),
        user_data=user_data,
        layers=layers,
        commits=commits,
        verdicts=_verdicts(a, b),
        not_known=dict(sorted({**unknown, **dict(_not_known(a, b, user_data, layers)), **left_out}.items())),
    )  # fmt: skip


def _left_out(a: Side, b: Side) -> dict[str, str]:
    if a.subject.kind == "instance" and b.subject.kind == "instance":
        return {}
    reason = "not compared: this belongs to an instance, and versions and images are not instances"
    return dict.fromkeys((*_OF_INSTANCES, "verdicts"), reason)


def _unknown(a: Side, b: Side, names: Sequence[str]) -> dict[str, str]:
    """Return why links are not compared of which neither side knows anything: that they are the same is not known."""
    found = {}
    for name in names:
        sides = [_shown(name, side.links.get(name)) for side in (a, b)]
        if all(one["state"] == "unknown" and one["value"] is None for one in sides):
            found[name] = min(str(one["reason"]) for one in sides)
    return found


def _link_change(name: str, a: Side, b: Side) -> LinkChange | None:
    one, other = (_shown(name, side.links.get(name)) for side in (a, b))
    if (one["state"], one["value"]) == (other["state"], other["value"]):
        return None
    return LinkChange(link=name, a=one, b=other)


def _shown(name: str, link: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the state, the reason and what is compared of a link's value."""
    if link is None:
        return {"state": "unknown", "reason": "this side has no such link", "value": None}
    return {"state": link["state"], "reason": link["reason"], "value": _value(name, link["value"])}


def _value(name: str, value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if value is None:
        return None
    if name == "ticket":
        return {
            "tickets": sorted({_ticket(one) for one in value.get("tickets", ())}),
            "reviews": sorted({one["id"] for one in value.get("reviews", ())}),
        }
    if name == "review" and "reviews" in value:
        return {"reviews": sorted(map(_review, value["reviews"]))}
    if name == "approval" and "approvals" in value:
        given = sorted(
            {f"{one['user_id']} ({one['approval_type']})" for one in value["approvals"] if one["counts"] == "yes"}
        )
        return {**{part: value[part] for part in ("people", "required_approvers", "missing")}, "approved_by": given}
    if name == "commit" and value.get("signature"):
        value = {**value, "signature": _signature(value["signature"])}
    if name not in _VALUES:
        return dict(value)
    return {part: value[part] for part in _VALUES[name] if value.get(part) is not None}


def _signature(found: Mapping[str, Any]) -> str:
    """Return what a signature is worth, but not when it was verified."""
    return f"signature {found['state']}" + (f" of {found['signer']}" if found.get("signer") else "")


def _ticket(one: Mapping[str, Any]) -> str:
    """Return a ticket with what its tracker states, but not when it was read."""
    approved = {"True": "approved", "False": "not approved"}.get(str(one.get("approved")), "")
    known = ", ".join(filter(None, (one.get("status"), approved)))
    problem = f" ({one['problem']})" if one.get("problem") else ""
    return f"{one['id']}{f' [{known}]' if known else ''}{problem}"


def _review(one: Mapping[str, Any]) -> str:
    """Return a review with whose approvals count, but not when it was read."""
    good = sorted(vote["by"] for vote in one["approvals"] if vote["counts"] is True)
    approved = f"approved by {', '.join(good)}" if good else "without an approval that counts"
    return f"{one['url'] or one['number']} of {one['author'] or 'a deleted account'}, {approved}"


def _user_data(a: Side, b: Side) -> DocumentDifference | None:
    """Return the keys that differ; None if both digests are the same, or a side has no document."""
    one, other = (((side.links.get("user_data") or {}).get("value") or {}).get("document") for side in (a, b))
    if _digest_of(a) == _digest_of(b) or not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return None
    return differing(one, other)


def _beside(one: Side, other: Side) -> list[str]:
    """Return the layers that only one side has, in their order; none if those of a side are not known."""
    if not one.layer_digests or not other.layer_digests:
        return []
    known = set(other.layer_digests)
    return [digest for digest in dict.fromkeys(one.layer_digests) if digest not in known]


def _same_or_changed(one: str, other: str) -> str:
    if not one or not other:
        return "unknown"
    return "same" if one == other else "changed"


def _verdicts(a: Side, b: Side) -> tuple[VerdictChange, ...]:
    if a.verdicts is None or b.verdicts is None:
        return ()
    found = [
        VerdictChange(rule=rule, a=a.verdicts.get(rule), b=b.verdicts.get(rule))
        for rule in sorted({*a.verdicts, *b.verdicts})
    ]
    return tuple(one for one in found if _verdict(one.a) != _verdict(one.b))


def _verdict(found: RuleVerdict | None) -> str | None:
    return found.verdict if found is not None else None


def _not_known(a: Side, b: Side, user_data: DocumentDifference | None, layers: str) -> Iterator[tuple[str, str]]:
    """Yield what could not be compared, and why."""
    for part in sorted({*a.not_checked, *b.not_checked}):
        yield part, min(side.not_checked[part] for side in (a, b) if part in side.not_checked)
    if layers == "unknown":
        yield "layers", "the layers of an image are known once its registry was read"
    elif layers == "changed" and not (a.layer_digests and b.layer_digests):
        yield "layer", "which layers differ: those of a side were read before single layers were recorded"
    withheld = next(filter(None, (_withheld(side) for side in (a, b))), None)
    if withheld:
        yield "user_data", withheld
    elif user_data is None and _digest_of(a) != _digest_of(b):
        yield "user_data", "its keys cannot be compared: one of the documents is not stored"
    elif user_data is not None and user_data.masked and not user_data.changes:
        yield "user_data", "the documents differ in masked values, or in comments and spacing"


def _digest_of(side: Side) -> object:
    """Return the digest of the side's user data; None for what has none of its own."""
    return ((side.links.get("user_data") or {}).get("value") or {}).get("digest")


def _withheld(side: Side) -> str | None:
    value = (side.links.get("user_data") or {}).get("value") or {}
    found = value.get("withheld")
    return str(found) if found else None
