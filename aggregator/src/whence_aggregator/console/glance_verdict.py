"""The sentence that comes first on the overview, and why: what is unknown never reads like a pass. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.glance import Glance
from whence_aggregator.console.standing import NOUNS

_BOOT = "boot an instance with whence-agent, whose `aggregator_url` is this server"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlanceVerdict:
    """`state` is the sign: pass, fail, unknown, or quiet for nothing at all."""

    state: str
    sentence: str
    why: str
    what_to_do: str = ""


def verdict_of(glance: Glance) -> GlanceVerdict:
    """Return what the overview answers."""
    judged = {kind: one for kind, one in glance.subjects.items() if one["total"]}
    why = _why(glance)
    if glance.teams is not None and not glance.teams:
        return GlanceVerdict(
            state="quiet", sentence="You are in no team, and may read what belongs to your own teams only",
            why="No source of the organisation, and no group of your token, names a team of yours.",
            what_to_do="ask the owners of your team to list you, then sign in again",
        )  # fmt: skip
    if not judged:
        return GlanceVerdict(
            state="unknown" if why else "quiet", sentence="Nothing has reported yet", why=why,
            what_to_do=_BOOT,
        )  # fmt: skip
    if any(one["fail"] for one in judged.values()):
        return _failing(glance, why)
    if "instance" not in judged:
        return GlanceVerdict(state="unknown", sentence="No instance has reported yet", why=why, what_to_do=_BOOT)
    waiting = {kind: one for kind, one in judged.items() if one["unknown"] or one["folded"]}
    if waiting:
        kind = _first(waiting)
        of = waiting[kind]
        known = f"{of['pass']:,} of {amount(of['total'], *NOUNS[kind])} {_verb(of['pass'], 'pass')} every rule"
        sentence = f"{known}; {of['unknown'] + of['folded']:,} cannot be judged yet"
        return GlanceVerdict(state="unknown", sentence=sentence, why=why)
    kind = _first(judged)
    of = judged[kind]
    every = f"All {amount(of['total'], *NOUNS[kind])}" if of["total"] != 1 else f"The only {NOUNS[kind][0]}"
    if why:
        sentence = f"{every} that {'is' if of['total'] == 1 else 'are'} judged {_verb(of['total'], 'pass')} every rule"
        return GlanceVerdict(state="unknown", sentence=f"{sentence}, but not all is known", why=why)
    return GlanceVerdict(state="pass", sentence=f"{every} {_verb(of['total'], 'pass')} every rule", why="")


def _failing(glance: Glance, why: str) -> GlanceVerdict:
    """Return the verdict where something fails: instances first, since they run."""
    failing = {kind: one for kind, one in glance.subjects.items() if one["fail"]}
    kind = _first(failing)
    of = failing[kind]
    sentence = f"{of['fail']:,} of {amount(of['total'], *NOUNS[kind])} {_verb(of['fail'], 'break')} a rule"
    severities = severity_counts(glance)
    for severity, name in ((1, "critical"), (2, "high")):
        if n := severities[severity]["fail"]:
            sentence += f"; {amount(n, f'failing verdict is {name}', f'failing verdicts are {name}')}"
            break
    others = [
        f"{one['fail']:,} of {amount(one['total'], *NOUNS[name])}"
        for name, one in sorted(failing.items()) if name != kind
    ]  # fmt: skip
    also = f"Rules are also broken by {' and '.join(others)}." if others else ""
    return GlanceVerdict(state="fail", sentence=sentence, why=" ".join(part for part in (also, why) if part))


def _why(glance: Glance) -> str:
    """Return what is not known: each as a sentence; empty if all is."""
    said = []
    presence = glance.presence
    if presence is not None:
        unheard = [
            (presence["never"], "was never heard", "were never heard"),
            (presence["silent"], "is silent", "are silent"),
        ]
        parts = [f"{n:,} {one if n == 1 else many}" for n, one, many in unheard if n]
        if parts:
            said.append(f"Of {amount(presence['listed'], 'listed instance')}, {' and '.join(parts)}.")
        if presence["oldest_listed_at"] is None:
            said.append("No listing of EC2 is complete: instances that never reported are not known.")
    instances = glance.subjects.get("instance")
    if instances is not None and instances["unknown"]:
        n = instances["unknown"]
        said.append(f"{amount(n, 'instance')} {'waits' if n == 1 else 'wait'} for a source.")
    if glance.unread:
        n = glance.unread
        said.append(f"{amount(n, 'source')} {'was' if n == 1 else 'were'} not read that could deny this.")
    if glance.left_out or glance.teams_left:
        left = glance.teams_left
        if left:
            said.append(f"{amount(left, 'further team')} of yours {'is' if left == 1 else 'are'} not counted here.")
    return " ".join(said)


def severity_counts(glance: Glance) -> dict[int, dict[str, int]]:
    """Return the verdicts by the severity of their rules; 1 is the most severe."""
    severity = {one["id"]: one["severity"] for one in glance.rules}
    found = {one: {"fail": 0, "unknown": 0, "total": 0} for one in (1, 2, 3, 4)}
    for rule, counts in glance.by_rule.items():
        if rule in severity:
            for name in ("fail", "unknown", "total"):
                found[severity[rule]][name] += counts[name]
    return found


def _first(kinds: object) -> str:
    """Return the kind of subject that is spoken of: instances if any, since they run."""
    assert isinstance(kinds, dict)
    return next(kind for kind in NOUNS if kind in kinds)


def _verb(number: int, verb: str) -> str:
    if number != 1:
        return verb
    return f"{verb}es" if verb.endswith("s") else f"{verb}s"
