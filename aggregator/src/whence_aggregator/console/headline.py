"""The verdict on a lineage: the sentence that a page about an instance begins with. Pure.

The worst gap among the required links decides. What is not known never reads as a pass: an agent that is silent leaves
a whole chain unknown, since it may run something else by now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whence_aggregator.console.ages import shown_time
from whence_aggregator.console.link_words import GAPS, LinkDocument, by_name, is_held, link_name, short_commit, value_of
from whence_common.identifiers import is_application_id

ChainSign = Literal["confirmed", "contradicted", "missing", "unknown"]
ENDED = ("stopping", "stopped", "shutting-down", "terminated")
_GAP_SENTENCES: Mapping[str, tuple[str, str, str]] = {
    "account": (
        "sources disagree about the account that {what} runs in",
        "no source states whose account {what} runs in",
        "it is not known whose account {what} runs in",
    ),
    "team": (
        "sources disagree about the team of {what}", "no team owns {what}", "it is not known which team owns {what}",
    ),
    "instance": (
        "sources disagree about the instance of {what}", "nothing proves the instance of {what}",
        "it is not known on which instance {what} runs",
    ),
    "ami": (
        "sources disagree about the AMI of {what}", "no source states the AMI of {what}",
        "it is not known which AMI {what} was started from",
    ),
    "user_data": (
        "the EC2 API and the agent report different user data of {what}", "{what} has no user data",
        "it is not known which user data {what} was started with",
    ),
    "application": (
        "sources disagree about the application of {what}", "no registered application is known for {what}",
        "it is not known which application {what} is",
    ),
    "version": (
        "sources disagree about the version of {what}", "no version of {what} is named",
        "it is not known which version of {what} runs",
    ),
    "approval": (
        "another image was approved than the one that {what} runs", "{what} is not approved as required",
        "it is not known whether {what} is approved",
    ),
    "image": (
        "sources disagree about the image that {what} runs", "no image of {what} runs",
        "it is not known whether the registry has the image that {what} runs",
    ),
    "source": (
        "sources disagree about the source of {what}", "the image of {what} names no source",
        "it is not known which source {what} was built from",
    ),
    "commit": (
        "sources disagree about the commit of {what}", "the commit of {what} is not found",
        "it is not known whether the commit of {what} exists",
    ),
    "review": (
        "sources disagree about the review of {what}", "no review covers the commit of {what}",
        "it is not known whether the commit of {what} was reviewed",
    ),
    "ticket": (
        "sources disagree about the ticket of {what}", "no ticket is found that asked for {what}",
        "it is not known which ticket asked for {what}",
    ),
    "specification": (
        "sources disagree about the specification of {what}", "no specification of {what} is found",
        "it is not known what specifies {what}",
    ),
}  # fmt: skip
"""By link, the sentence for each of GAPS."""
_TICKETS_MAX = 3
_IN_NO_COMMIT = "{what} runs code that is in no commit"
_LACKING = {
    "commit": "no protected branch is known to reach the commit of {what}",
    "review": "no approval that counts covers the commit of {what}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The verdict. `word` is its state in lists; `link` is the link that decides it, empty for a whole chain."""

    sign: ChainSign
    word: str
    sentence: str
    link: str = ""

    @property
    def is_whole(self) -> bool:
        return self.word == "complete"


def headline(lineage: Mapping[str, Any]) -> Headline:
    """Return the verdict on a lineage."""
    links = by_name(lineage)
    what = named(links, str(lineage["subject"]["instance"]))
    if value_of(links, "instance").get("cause") == "failed":
        return _failed(links, what)
    if (gap := worst_gap(lineage)) is not None:
        return _gap(gap, links, what)
    if not lineage["complete"]:
        return _incomplete(lineage, links, what)
    if lineage["heard"] in ("silent", "never") and not has_ended(lineage):
        return _unheard(lineage, what)
    whole = origin(lineage) or f"every link of {what} holds that this server requires"
    return Headline(sign="confirmed", word="complete", sentence=f"Complete: {whole}")


def worst_gap(lineage: Mapping[str, Any]) -> LinkDocument | None:
    """Return the first of the worst gaps among the required links; None if there is none."""
    required = frozenset(lineage["required"])
    for state in GAPS:
        for link in lineage["links"]:
            if link["state"] == state and link["link"] in required:
                found: LinkDocument = link
                return found
    return None


def has_ended(lineage: Mapping[str, Any]) -> bool:
    """Return whether the instance no longer runs, by the EC2 API or by its own last statement."""
    return lineage["life"] in ENDED or value_of(by_name(lineage), "instance").get("cause") == "stop"


def named(links: Mapping[str, LinkDocument], instance_id: str) -> str:
    """Return what runs: application and version as far as they are known, else the instance's id."""
    application = value_of(links, "application").get("application_id") or _asked_application(links)
    version = value_of(links, "version").get("application_version")
    return " ".join(str(one) for one in (application, version if application else None) if one) or instance_id


def _asked_application(links: Mapping[str, LinkDocument]) -> object:
    """Return the application that user data names, though it is not registered."""
    document = value_of(links, "user_data").get("document")
    named_there = document.get("application_id") if isinstance(document, Mapping) else None
    return named_there if isinstance(named_there, str) and is_application_id(named_there) else None


def errors_of(links: Mapping[str, LinkDocument]) -> Sequence[Mapping[str, Any]]:
    """Return the errors in the user data."""
    found = value_of(links, "user_data").get("problems")
    problems = found if isinstance(found, list) else []
    return [one for one in problems if isinstance(one, Mapping) and one.get("severity") == "error"]


def _failed(links: Mapping[str, LinkDocument], what: str) -> Headline:
    count = len(errors_of(links))
    because = f", because its user data has {count} error{'s' * (count > 1)}" if count else ""
    link = "user_data" if count else "image"
    return Headline(
        sign="missing", word="failed boot", sentence=f"Failed boot: {what} does not run{because}", link=link
    )


def _gap(gap: LinkDocument, links: Mapping[str, LinkDocument], what: str) -> Headline:
    link, state = str(gap["link"]), str(gap["state"])
    sentence = _GAP_SENTENCES[link][GAPS.index(state)]
    if link == "commit" and state == "contradicted" and value_of(links, "source").get("dirty") is True:
        sentence = _IN_NO_COMMIT
    sign: ChainSign = "contradicted" if state == "contradicted" else "missing" if state == "missing" else "unknown"
    return Headline(
        sign=sign, word=state, sentence=f"{state.capitalize()} at {link_name(link)}: {sentence.format(what=what)}",
        link=link,
    )  # fmt: skip


def _incomplete(lineage: Mapping[str, Any], links: Mapping[str, LinkDocument], what: str) -> Headline:
    """Return why a lineage without a gap is not complete."""
    for link in lineage["links"]:
        if link["lacking"] and link["link"] in lineage["required"]:
            name = str(link["link"])
            lacks = _LACKING.get(name, "what a whole chain needs is missing for {what}").format(what=what)
            return Headline(
                sign="missing", word="not complete", sentence=f"Not complete at {link_name(name)}: {lacks}", link=name
            )
    for one in lineage["not_checked"]:
        name = str(one["link"])
        if name in lineage["required"] and name in _GAP_SENTENCES:
            unknown = _GAP_SENTENCES[name][GAPS.index("unknown")].format(what=what)
            return Headline(
                sign="unknown", word="not checked", sentence=f"Not checked at {link_name(name)}: {unknown}", link=name
            )
    if not lineage["recorded_by_then"]:
        return Headline(
            sign="unknown", word="reported later",
            sentence=f"Reported later: nothing about {what} was recorded by {shown_time(lineage['at'])}",
        )  # fmt: skip
    return Headline(sign="unknown", word="not complete", sentence=f"Not complete: not every link of {what} is known")


def _unheard(lineage: Mapping[str, Any], what: str) -> Headline:
    if lineage["heard"] == "silent":
        since = shown_time(lineage["last_seen"])
        sentence = f"Silent since {since}: it is not known what {what} runs now"
        return Headline(sign="unknown", word="silent", sentence=sentence)
    sentence = f"Never heard since it reported: it is not known what {what} runs now"
    return Headline(sign="unknown", word="never heard", sentence=sentence)


def origin(lineage: Mapping[str, Any]) -> str:
    """Return where what runs comes from, as strongly as the weakest link states it; empty if that does not hold."""
    links = by_name(lineage)
    commit, source, ticket = (links.get(name) for name in ("commit", "source", "ticket"))
    if commit is None or source is None or not is_held(commit) or not is_held(source) or _is_disputed(links):
        return ""
    what = named(links, str(lineage["subject"]["instance"]))
    short = short_commit(value_of(links, "commit").get("commit"))
    proved = commit["state"] == "confirmed" and source["state"] == "confirmed"
    verb = "came" if has_ended(lineage) else "comes"
    found = f"{what} {verb} from commit {short}" if proved else f"{what} names commit {short} as its source"
    tickets = [str(one["id"]) for one in value_of(links, "ticket").get("tickets", ())][:_TICKETS_MAX]
    if ticket is None or not is_held(ticket) or not tickets:
        return found
    plural = f"ticket{'s' * (len(tickets) > 1)} {', '.join(tickets)}"
    return f"{found}, asked for in {plural}" if ticket["state"] == "confirmed" else f"{found}, which names {plural}"


def _is_disputed(links: Mapping[str, LinkDocument]) -> bool:
    """Return whether nothing runs, or it is disputed which image does: its source is then not that of what runs."""
    return (links.get("image") or {}).get("state") in ("contradicted", "missing")
