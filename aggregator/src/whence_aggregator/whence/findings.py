"""whence findings: push the files of scanners as they are, and list what they found."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from whence_aggregator.whence.client import Client, FileUpload, Refused
from whence_aggregator.whence.covered import end_covered
from whence_aggregator.whence.output import (
    AT,
    GAPS,
    UNREACHABLE,
    USAGE,
    ask,
    end,
    listed,
    listing,
    note,
    one_of_them,
    out,
    show,
    show_json,
    show_list,
)
from whence_common.errors import WhenceError
from whence_common.visible import printable

_PART_BYTES = 256 * 1024
_PROGRESS_BYTES = 16 * 1024 * 1024
_REFUSALS_SHOWN_MAX = 20
TRIES_MAX = 10
WAIT_SECONDS_MAX = 600.0
"""How often a file is sent, and the longest pause, while the server limits the rate of its sender."""
_LIMITED = 429
_COUNTS = ("new", "updated", "unchanged", "closed", "refused")


@click.group()
def findings() -> None:
    """Push the findings of scanners (OCSF, ASFF, SARIF), or list them with their teams."""


@findings.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False), metavar="FILE…")
@click.option("--format", "form", type=click.Choice(["ocsf", "asff", "sarif"]), help="Refuse findings in any other.")
@click.option("--account", help="The account of findings that name none, as SARIF's.")
@click.option("--application", help="The application of findings that name no instance, image or application.")
@click.option(
    "--complete", is_flag=True,
    help="Each file has all findings of its scanner about each account and image in it: what it lacks is fixed.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the responses as JSON.")
@click.pass_obj
def push(
    client: Client, files: tuple[str, ...], form: str | None, account: str | None, application: str | None,
    complete: bool, as_json: bool,
) -> None:  # fmt: skip
    """Push files of findings, each as it is. A file that was pushed before changes nothing.

    \b
    Exits 0 if every finding was taken, 1 if some were refused or a file was not complete, 2 if a file could not be
    used, 3 if the aggregator is unreachable or refuses the request.
    """
    query = {"format": form, "account": account, "application": application, "complete": "true" if complete else None}
    answers, worst = list[Mapping[str, Any]](), 0
    for name in files:
        try:
            answer = _sent(client, Path(name), query)
        except (Refused, OSError) as exc:
            message = exc.diagnostics() if isinstance(exc, Refused) else f"{exc.strerror}"
            note(f"whence: {name}: {message}")
            code = USAGE if isinstance(exc, OSError) or exc.status in (400, 413, 415) else UNREACHABLE
            worst = max(worst, code)
            continue
        except WhenceError as exc:
            end(f"{name}: {exc.diagnostics()}", UNREACHABLE)
        answers.append({"file": name, **answer})
        gaps = bool(answer.get("refused")) or bool(answer.get("incomplete_reason"))
        worst = max(worst, GAPS if gaps else 0)
        if not as_json:
            _print(name, answer)
    if as_json:
        show_json(answers)
    sys.exit(worst)


@findings.command("list")
@click.option("--verdict", type=click.Choice(["fail", "unknown", "manual", "pass", "fixed"]), help="Only this verdict.")
@click.option("--rule", help="Only this rule: image-cve, base-image-outdated or PRODUCT/CHECK.")
@click.option("--product", help="Only findings of this scanner, as prowler.")
@click.option("--check", help="Only this check of the scanner.")
@click.option("--severity", type=click.Choice(["1", "2", "3", "4"]), help="Only this severity; 1 is the highest.")
@click.option("--account", help="Only this account.")
@click.option("--region", help="Only this region.")
@click.option("--instance", help="Only this instance.")
@click.option("--image", help="Only the image with this digest.")
@click.option("--application", help="Only this application.")
@click.option("--team", help="Only what this team answers for: its applications, and its accounts.")
@click.option("--suppressed", type=click.Choice(["true", "false"]), help="Only those muted in the scanner, or not.")
@click.option("--since", help="Only with this result since this time or later, 2026-11-22T12:00:00Z.")
@click.option("--until", help="Only with this result since before this time.")
@click.option("--at", help=AT)
@listing
@click.pass_obj
def list_findings(client: Client, /, limit: int, everything: bool, as_json: bool, **filters: str | None) -> None:
    """List findings: what each means now, and who answers for it.

    Exits 5 if a scanner is late or never reported, else 1 if a finding that is not muted fails or is unknown.
    """
    found = listed(client, "/v1/findings", "findings", filters, None if everything else limit)
    gaps = _Gaps()
    found.pages = gaps.watched(found.pages)
    if not as_json:
        pages = found.pages
        found.pages = ([{**one, **_about(one)} for one in page] for page in pages)
    columns = ("verdict", "severity", "rule", "subject", "team", "account_id", "since", "last_seen", "reason")
    show_list(found, "findings", columns, as_json=as_json)
    end_covered(found.first.get("coverage"), gaps=gaps.found)


@findings.command()
@one_of_them
@click.pass_obj
def scanners(client: Client, at: str | None, as_json: bool) -> None:
    """Show when each scanner last reported about each account. Exits 1 if one is late or never reported."""
    found = ask(lambda: client.get("/v1/scanners", at=at))
    rows = found["scanners"]
    show(found, rows, ("state", "product", "account_id", "reported_at", "complete_at"), as_json=as_json)
    sys.exit(GAPS if any(one["state"] != "reporting" for one in rows) else 0)


def _sent(client: Client, path: Path, query: Mapping[str, str | None]) -> dict[str, Any]:
    """Send one file; return the response. Raises WhenceError or OSError."""
    size = path.stat().st_size
    content = FileUpload(size=size, parts=lambda: _parts(path, size))
    answer = _tried(lambda: client.upload("/v1/findings", content, **query), path)
    if not isinstance(answer, dict) or not all(isinstance(answer.get(name), int) for name in _COUNTS):
        end("the response is not one about findings: is this a whence-aggregator?", UNREACHABLE)
    return answer


def _tried(send: Callable[[], Any], path: Path) -> Any:
    """Send; where the server limits the rate, again after the time that it states. Raises WhenceError or OSError."""
    for _ in range(TRIES_MAX - 1):
        try:
            return send()
        except Refused as exc:
            if exc.status != _LIMITED or exc.retry_after_seconds is None:
                raise
            seconds = min(exc.retry_after_seconds, WAIT_SECONDS_MAX)
            note(f"whence: {path}: {exc.message}: sent again in {seconds:.0f} seconds")
            time.sleep(seconds)
    return send()


def _parts(path: Path, size: int) -> Iterator[bytes]:
    """Yield a file's bytes, and show how far it is if it is large. Raises OSError if it becomes shorter."""
    sent, shown = 0, 0
    with path.open("rb") as stream:
        while sent < size:
            part = stream.read(min(_PART_BYTES, size - sent))
            if not part:
                raise OSError(5, "the file became shorter while it was sent")
            sent += len(part)
            yield part
            if size > _PROGRESS_BYTES and sent - shown >= _PROGRESS_BYTES:
                shown = sent
                note(f"whence: {path}: {sent * 100 // size} % of {size // 1_000_000} MB sent")


def _print(name: str, answer: Mapping[str, Any]) -> None:
    out(f"{printable(name)}: " + ", ".join(f"{answer[one]} {one}" for one in _COUNTS) + "\n")
    refusals: Sequence[Mapping[str, Any]] = answer.get("refusals") or ()
    for one in refusals[:_REFUSALS_SHOWN_MAX]:
        uid = f" ({one['uid']})" if one.get("uid") else ""
        note(f"whence: {name}: finding {one.get('position')}{uid}: {one.get('reason')}")
    if answer["refused"] > _REFUSALS_SHOWN_MAX:
        note(
            f"whence: {name}: {answer['refused'] - _REFUSALS_SHOWN_MAX} more were refused: --json lists the first 1000"
        )
    if answer.get("incomplete_reason"):
        note(f"whence: {name}: nothing was closed, as the file is not complete: {answer['incomplete_reason']}")


class _Gaps:
    """Whether any finding that was listed fails or is unknown, and is not muted in its scanner."""

    def __init__(self) -> None:
        self.found = False

    def watched(self, pages: Iterator[Sequence[Mapping[str, Any]]]) -> Iterator[Sequence[Mapping[str, Any]]]:
        for page in pages:
            broken = [one for one in page if one["verdict"] in ("fail", "unknown") and not one["suppressed"]]
            self.found = self.found or bool(broken)
            yield page


def _about(one: Mapping[str, Any]) -> dict[str, object]:
    subjects = one.get("subjects") or [{}]
    return {"subject": subjects[0].get("id"), "team": subjects[0].get("team")}
