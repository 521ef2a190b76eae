"""whence diff: what differs between two subjects, or one subject at two times."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import GAPS, document_of, out, show_json
from whence_aggregator.whence.tracked_words import reason_of, review_words, ticket_words, unknown_reviews
from whence_common.visible import printable

_TEXT_CHARACTERS_MAX = 200
_ID_CHARACTERS = 12
_WAIT_SECONDS_DEFAULT, _WAIT_SECONDS_MAX, _PAUSE_SECONDS = 120, 3_600, 2.0
_PROGRESS_CHARACTERS_MAX = 78


@click.command()
@click.argument("a")
@click.argument("b", required=False)
@click.option("--at", help="The time of A, and of B if it is named without one, 2026-11-22T12:00:00Z; by default now.")
@click.option("--and-at", help="The time of B, or the second time of A.")
@click.option("--known-at", help="Use only what was recorded by this time; by default now.")
@click.option(
    "--wait", "wait_seconds", type=click.IntRange(1, _WAIT_SECONDS_MAX), is_flag=False,
    flag_value=_WAIT_SECONDS_DEFAULT, metavar="[SECONDS]",
    help=f"Wait until the commits in between are collected, for {_WAIT_SECONDS_DEFAULT} seconds at most.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def diff(
    client: Client, a: str, b: str | None, at: str | None, and_at: str | None, known_at: str | None,
    wait_seconds: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what differs between A and B: instances (i-…), versions (application/version) or images (sha256:…).

    A time may follow a subject: i-…@2026-11-22T12:00:00Z. Without B, A is compared with itself at another time.
    Exits 1 if something differs.
    """
    if b is None and at is None and and_at is None and "@" not in a:
        raise click.UsageError("name B, or another time of A with --and-at")
    parameters = {"a": a, "b": b, "at": at, "and_at": and_at, "known_at": known_at}
    found = collected(
        lambda: document_of(client, "/v1/diff", "a", "b", "links", "commits", "equal", **parameters),
        wait_seconds or 0,
        tell=tell,
        now=time.monotonic,
        sleep=time.sleep,
    )
    if as_json:
        show_json(found)
    else:
        out("".join(f"{line}\n" for line in lines_of(found)))
    sys.exit(0 if found["equal"] else GAPS)


def collected(
    asked: Callable[[], Mapping[str, Any]],
    seconds: float,
    *,
    tell: Callable[[str], None],
    now: Callable[[], float],
    sleep: Callable[[float], None],
) -> Mapping[str, Any]:
    """Return a difference, asked for again until its commits are collected, nothing tries it, or the time is over."""
    began = now()
    while True:
        found = asked()
        commits, waited = found["commits"], now() - began
        if commits["state"] != "unknown" or not commits.get("due_at") or waited >= seconds:
            if waited > 0 and seconds:
                tell("")
            return found
        tell(f"waiting for the commits in between, {int(waited)} of {int(seconds)} s: {_text(commits['reason'])}")
        sleep(min(_PAUSE_SECONDS, seconds - waited))


def tell(text: str) -> None:
    """Show how far a wait is in one line of a terminal; elsewhere, show nothing."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text[:_PROGRESS_CHARACTERS_MAX]}")
        sys.stderr.flush()


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a difference; everything from outside is printable and in one line."""
    for sign, side in (("a", found["a"]), ("b", found["b"])):
        by = "" if "instance" in side["subject"] else f", as {_text(side['instance_id'])} runs it"
        yield f"{sign}: {_text('/'.join(map(str, side['subject'].values())))} at {_text(side['at'])}{by}"
        if side.get("last_ran"):
            yield "   it runs no more on an instance that reports: this is the last time that one ran it"
        if side["images"]:
            yield f"   its instances run {len(side['images'])} images: {', '.join(map(_text, side['images']))}"
    for link in found["links"]:
        yield f"{_text(link['link'])}:"
        yield from (f"  {sign} {_link(link[side])}" for sign, side in (("-", "a"), ("+", "b")))
    yield from _user_data(found["user_data"])
    if found["layers"] == "changed":
        yield "layers: they differ"
        digests = found.get("layer_digests") or {"only_a": [], "only_b": []}
        for sign, only in (("-", digests["only_a"]), ("+", digests["only_b"])):
            yield from (f"  {sign} {_text(one)}" for one in only)
    yield from _commits(found["commits"])
    for one in found["verdicts"]:
        yield f"rule {_text(one['rule'])}: {_verdict(one['a'])} → {_verdict(one['b'])}"
    if found["same"]:
        yield f"the same: {', '.join(map(_text, found['same']))}"
    parts: dict[str, list[str]] = {}
    for one in found["not_known"]:
        parts.setdefault(str(one["reason"]), []).append(_text(one["part"]))
    yield from (f"not known: {', '.join(some)}: {reason_of(reason)}" for reason, some in parts.items())
    if found["equal"]:
        yield "nothing differs, as far as it is known"


def _link(link: Mapping[str, Any]) -> str:
    value = "  ".join(_part(name, part) for name, part in (link["value"] or {}).items())
    reason = f" ({reason_of(link['reason'])})" if link["reason"] else ""
    return f"{_text(link['state'])}{'  ' if value else ''}{value}{reason}"


def _part(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{_text(name)}={','.join(map(_text, value)) or 'none'}"
    return _text(value) if isinstance(value, str) else f"{_text(name)}={_text(value)}"


def _user_data(found: Mapping[str, Any]) -> Iterator[str]:
    if found["changes"]:
        yield "user data, key by key:"
    for one in found["changes"]:
        if one["how"] != "only_b":
            yield f"  - {_text(one['path'])}: {_value(one['a'])}"
        if one["how"] != "only_a":
            yield f"  + {_text(one['path'])}: {_value(one['b'])}"
    if found["masked"]:
        yield f"  masked, so not compared: {', '.join(map(_text, found['masked']))}"
    if found["cut"]:
        yield "  and more keys"


def _commits(found: Mapping[str, Any]) -> Iterator[str]:
    if found["state"] == "unknown":
        yield f"commits: unknown: {reason_of(found['reason'])}"
        return
    if found["diverged"]:
        yield "commits: the history diverged: each side has commits that the other has not"
    for sign, name in (("-", "only_a"), ("+", "only_b")):
        for one in found[name]:
            named = "".join(f" [{_text(word)}]" for word in (*one["tickets"], *one["reviews"]))
            review = one["review"] if one["review"] and one["review"]["state"] != "unknown" else None
            said = f"; {words}" if (words := review_words(review)) else ""
            yield f"  {sign} {_text(one['commit'][:_ID_CHARACTERS])} {_text(one['subject'])}{named}{said}"
    for one in found["tickets"]:
        if words := ticket_words(one):
            yield f"  ticket {_text(one['id'])}: {words}"
    yield from (f"  {one}" for one in unknown_reviews((*found["only_a"], *found["only_b"])))
    if found["cut"]:
        yield f"  and more commits: {len(found['only_a'])} and {len(found['only_b'])} are listed"


def _verdict(found: Mapping[str, Any] | None) -> str:
    return _text(found["verdict"]) if found is not None else "not judged"


def _value(value: object) -> str:
    return _text(json.dumps(value, ensure_ascii=False))


def _text(value: object) -> str:
    return printable(value)[:_TEXT_CHARACTERS_MAX]
