"""whence trace and whence why: lineages as a tree, a graph, a signed summary, or in words."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import click

from whence_aggregator.whence.attest import load_key
from whence_aggregator.whence.client import Client
from whence_aggregator.whence.graph import LineageGraph
from whence_aggregator.whence.output import (
    GAPS,
    UNKNOWN,
    USAGE,
    PagedList,
    console,
    document_of,
    end,
    json_list,
    listed,
    listing,
    note,
    out,
    show_json,
)
from whence_aggregator.whence.picture import draw
from whence_aggregator.whence.summary import signed_summary
from whence_aggregator.whence.words import paragraph
from whence_common.clock import to_instant
from whence_common.errors import InputError

_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}\Z")
_AMI = re.compile(r"ami-[0-9A-Za-z]{1,40}\Z")
_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_VERSION = re.compile(r"([a-z][a-z0-9-]*[a-z0-9])/([A-Za-z0-9][A-Za-z0-9._-]*)\Z")
_REVIEW = re.compile(r"[A-Za-z0-9_./~-]*![0-9]+\Z|https?://\S+/(?:pull|pulls|merge_requests)/[0-9]+\Z")
_OF_COMMITS = ("commit", "ticket", "review")
_Lineage = Mapping[str, Any]

_KINDS = (
    ("--application", "application", "an application id"),
    ("--team", "team", "a team that owns applications"),
    ("--account", "account", "an AWS account"),
    ("--ami", "ami", "an AMI"),
    ("--ticket", "ticket", "a ticket"),
    ("--review", "review", "a pull or merge request: 12, #12, !12, group/project!12, or its URL"),
    ("--layer", "layer", "the digest of an image's layer"),
    ("--commit", "commit", "a commit id or a prefix of one"),
    ("--person", "person", "the e-mail address or login of an author, reviewer, approver or pusher"),
    ("--user-data", "user_data", "the digest of user data"),
)


def _kinds(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, value, what in reversed(_KINDS):
        command = click.option(name, "kind", flag_value=value, help=f"SUBJECT is {what}.")(command)
    return command


@click.command()
@click.argument("subject")
@_kinds
@click.option("--version", "application_version", help="Only this version of the application.")
@click.option("--at", help="The state at this time, 2026-11-22T12:00:00Z.")
@click.option("--known-at", help="Use only what was recorded by this time; by default now.")
@click.option(
    "--state", help="Only instances in these states, as for `whence instances --state`; not for a single instance."
)
@click.option("--evidence", "with_evidence", is_flag=True, help="Show the evidence below each link.")
@click.option(
    "--format", "form", type=click.Choice(["tree", "json", "mermaid", "dot", "slsa-vsa"]), default="tree",
    show_default=True, help="`slsa-vsa` is a SLSA verification summary in a DSSE envelope, one line for each instance.",
)  # fmt: skip
@click.option(
    "--vsa-key", envvar="WHENCE_VSA_KEY", type=click.Path(dir_okay=False, path_type=Path),
    help="P-256 private key in PEM that signs verification summaries. Use it for nothing else.",
)  # fmt: skip
@click.option("--verifier-id", envvar="WHENCE_VERIFIER_ID", help="URI that names you as the verifier in summaries.")
@listing
@click.pass_obj
def trace(
    client: Client,
    subject: str,
    kind: str | None,
    application_version: str | None,
    at: str | None,
    known_at: str | None,
    state: str | None,
    with_evidence: bool,
    form: str,
    vsa_key: Path | None,
    verifier_id: str | None,
    limit: int,
    everything: bool,
    as_json: bool,
) -> None:
    """Trace SUBJECT: an instance (i-…), an image (sha256:…), a commit, a ticket, an application, application/version,
    an AMI (ami-…), an account (12 digits), a review (!12 or its URL), or the e-mail address of a person who wrote
    commits or approved versions.

    The kind of SUBJECT is detected from its form; use the options if it is ambiguous.
    """
    show = _writer("json" if as_json else form, vsa_key, verifier_id, with_evidence=with_evidence)
    kind, subject, version = _subject(kind, subject, application_version)
    parameters = {kind: subject, "version": version, "at": at, "known_at": known_at, "state": state}
    if kind == "instance":
        lineage = document_of(client, "/v1/trace", "links", "complete", "not_checked", **parameters)
        if as_json or form == "json":
            show_json(lineage)
        else:
            show(PagedList(first={}, pages=iter([[lineage]])))
        sys.exit(0 if lineage["complete"] else GAPS)
    found = listed(client, "/v1/trace", "lineages", parameters, None if everything else limit)
    complete = _watched(found, show)
    if not found.rows:
        end(_not_found(kind, subject, found.first.get("ranges_waiting")), UNKNOWN)
    note(found.note())
    if kind in _OF_COMMITS:
        note(_searched(found.first.get("ranges_waiting")))
    if complete and found.following is not None:
        complete = _rest_complete(client, parameters, found.following)
    sys.exit(0 if complete else GAPS)


@click.command()
@click.argument("instance_id")
@click.option("--at", help="The state at this time, 2026-11-22T12:00:00Z.")
@click.option("--known-at", help="Use only what was recorded by this time; by default now.")
@click.pass_obj
def why(client: Client, instance_id: str, at: str | None, known_at: str | None) -> None:
    """State in one paragraph why INSTANCE_ID runs what it runs: who, what, since when, for which ticket, and what is
    not known. Exits 1 if the lineage is not complete.
    """
    asked = {"instance": instance_id, "at": at, "known_at": known_at}
    lineage = document_of(client, "/v1/trace", "links", "complete", "not_checked", **asked)
    out(paragraph(lineage) + "\n")
    sys.exit(0 if lineage["complete"] else GAPS)


def _writer(
    form: str, key_file: Path | None, verifier_id: str | None, *, with_evidence: bool
) -> Callable[[PagedList], None]:
    """Return what prints a list of lineages."""
    if form == "json":
        return lambda found: json_list(found, "lineages")
    if form in ("mermaid", "dot"):
        return lambda found: _draw_graph(found, form)
    if form == "slsa-vsa":
        return _summaries(key_file, verifier_id)
    return lambda found: _draw_tree(found, with_evidence=with_evidence)


def _draw_tree(found: PagedList, *, with_evidence: bool) -> None:
    for lineage in chain.from_iterable(found.pages):
        draw(console(), lineage, evidence=with_evidence)


def _draw_graph(found: PagedList, form: str) -> None:
    graph = LineageGraph()
    for lineage in chain.from_iterable(found.pages):
        graph.add(lineage)
    lines = graph.mermaid() if form == "mermaid" else graph.dot()
    out("".join(f"{line}\n" for line in lines))
    if graph.left_out:
        note(f"the graph is cut: {graph.left_out} instances are left out; trace fewer of them")


def _summaries(key_file: Path | None, verifier_id: str | None) -> Callable[[PagedList], None]:
    """Return what signs and prints summaries. Exits with 2 if the key or the verifier's id is missing or unusable."""
    if key_file is None or not verifier_id:
        raise click.UsageError("--format slsa-vsa needs --vsa-key and --verifier-id")
    try:
        key = load_key(key_file)
    except InputError as exc:
        end(exc.diagnostics(), USAGE)
    except OSError as exc:
        end(f"{key_file} cannot be read: {exc.strerror}", USAGE)

    def write(found: PagedList) -> None:
        for lineage in chain.from_iterable(found.pages):
            try:
                envelope = signed_summary(lineage, key, verifier_id=verifier_id, now=to_instant(datetime.now(UTC)))
            except InputError as exc:
                note(f"whence: {exc.diagnostics()}")
                continue
            out(envelope.decode("ascii") + "\n")

    return write


def _watched(found: PagedList, show: Callable[[PagedList], None]) -> bool:
    """Print lineages page by page; return whether all of them are complete."""
    gaps = 0

    def watched() -> Iterator[Sequence[_Lineage]]:
        nonlocal gaps
        for page in pages:
            gaps += sum(not lineage["complete"] for lineage in page)
            yield page

    pages, found.pages = found.pages, watched()
    show(found)
    return not gaps


def _rest_complete(client: Client, parameters: Mapping[str, str | None], cursor: str) -> bool:
    """Return whether the remaining lineages are complete: the exit code covers all of them, not only those printed."""
    rest = listed(client, "/v1/trace", "lineages", parameters, None, after=cursor)
    return all(lineage["complete"] for lineage in chain.from_iterable(rest.pages))


def _subject(kind: str | None, subject: str, version: str | None) -> tuple[str, str, str | None]:
    """Return the kind of a subject, its value, and the version."""
    if kind is None and version is None and (match := _VERSION.match(subject)) is not None:
        return "application", match[1], match[2]
    return kind or _kind_of(subject), subject, version


def _searched(waiting: object) -> str:
    """Return which commits a search looks at. An earlier aggregator searches those of images alone."""
    if waiting is None:
        return "only the commit that each image names was searched, not those before it"
    wait = f"; {waiting} wait to be collected, so ask again later" if waiting else ""
    return f"commits before that of an image are found only in ranges between versions that were collected{wait}"


def _not_found(kind: str, subject: str, waiting: object) -> str:
    """Return what was searched, so that nothing found is not taken for more than that."""
    where = ""
    if kind in _OF_COMMITS:
        where = f"; {_searched(waiting)}"
    if kind == "person":
        where = "; only the commit that each image names is searched, not those before it"
    if kind == "ticket" and subject.startswith("#"):
        where += "; for a pull request add --review"
    if kind == "layer":
        where = "; images that were read before their layers were recorded are not found"
    if kind == "image":
        where += "; for user data add --user-data"
    ended = "; --state any includes those that ended; see --help"
    return f"not found: no running instance of {kind} {subject!r}{where}{ended}"


def _kind_of(subject: str) -> str:
    for form, kind in ((_INSTANCE, "instance"), (_AMI, "ami"), (_ACCOUNT, "account"), (_COMMIT, "commit")):
        if form.match(subject):
            return kind
    if subject.startswith("sha256:"):
        return "image"
    if _REVIEW.match(subject):
        return "review"
    if "@" in subject:
        return "person"
    if re.search(r"[#0-9]", subject) and re.search(r"[A-Z#]", subject):
        return "ticket"
    return "application"
