"""whence: where does what runs here come from?

Exit codes: 0 answered, nothing wrong; 1 answered, and there are gaps, things not checked, or violations; 2 wrong usage;
3 the aggregator cannot be reached or refuses; 4 there is no such thing.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whence_aggregator import __version__
from whence_aggregator.command import evidence
from whence_aggregator.command import images as image_commands
from whence_aggregator.command.client import Client
from whence_aggregator.command.output import GAPS, UNKNOWN, UNREACHABLE, all_pages, ask, end, show
from whence_aggregator.command.picture import draw, printable
from whence_common.errors import InputError, WhenceError

_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")


@click.group(help=__doc__)
@click.version_option(__version__, prog_name="whence")
@click.option("--url", envvar="WHENCE_URL", default="http://127.0.0.1:7381", show_default=True, help="The aggregator.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="File with the token; else WHENCE_TOKEN is used.")
@click.pass_context
def main(context: click.Context, url: str, token_file: str | None) -> None:
    """Make the client that the subcommands use."""
    import os

    try:
        token = Path(token_file).read_text("ascii").strip() if token_file else os.environ.get("WHENCE_TOKEN")
        context.obj = Client(url=url, token=token)
    except (OSError, ValueError) as exc:
        end(f"{token_file} cannot be read: {exc}", UNREACHABLE)
    except WhenceError as exc:
        end(exc.diagnostics(), UNREACHABLE)


@main.command()
@click.argument("subject")
@click.option("--application", "kind", flag_value="application", help="SUBJECT is an application id.")
@click.option("--ticket", "kind", flag_value="ticket", help="SUBJECT is a ticket.")
@click.option("--commit", "kind", flag_value="commit", help="SUBJECT is a commit id or the beginning of one.")
@click.option("--user-data", "kind", flag_value="user_data", help="SUBJECT is the digest of user data.")
@click.option("--version", "application_version", help="Only this version of the application.")
@click.option("--at", help="As it was at this time, 2026-11-22T12:00:00Z.")
@click.option("--known-at", help="By what was recorded by this time; now by default.")
@click.option("--evidence", "with_evidence", is_flag=True, help="Show the evidence below each link.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def trace(
    client: Client,
    subject: str,
    kind: str | None,
    application_version: str | None,
    at: str | None,
    known_at: str | None,
    with_evidence: bool,
    as_json: bool,
) -> None:
    """Trace SUBJECT: an instance (i-…), an image (sha256:…), a commit, a ticket or an application.

    Which it is, is seen from its form; the options say it where that is not enough.
    """
    kind = kind or _kind_of(subject)
    parameters = {kind: subject, "version": application_version, "at": at, "known_at": known_at}
    if kind == "instance":
        document = ask(lambda: client.get("/v1/trace", **parameters))
        lineages = [document]
    else:
        document, lineages = all_pages(client, "/v1/trace", "lineages", parameters)
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        for lineage in lineages:
            draw(console, lineage, evidence=with_evidence)
    if not lineages:
        end(f"nothing is known of {kind} {subject}", UNKNOWN)
    sys.exit(0 if all(lineage["complete"] for lineage in lineages) else GAPS)


@main.command()
@click.option("--application", help="Only instances of this application.")
@click.option("--account", help="Only instances in this account.")
@click.option("--region", help="Only instances in this region.")
@click.option("--image", help="Only instances that run this digest: as application, sidecar or by its index.")
@click.option("--commit", help="Only instances whose image was built from this commit, or one that begins so.")
@click.option("--at", help="As it was at this time, 2026-11-22T12:00:00Z.")
@click.option("--known-at", help="By what was recorded by this time; now by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def instances(client: Client, /, as_json: bool, **filters: str | None) -> None:
    """List the instances that have spoken, with what they run now."""
    document, rows = all_pages(client, "/v1/instances", "instances", filters)
    asked = filters["at"] or filters["known_at"]
    last = ("recorded_at", "recorded_by_then") if asked else ("seen_at",)
    columns = ("instance_id", "account_id", "region", "application_id", "application_version", "cause", *last)
    show(document, rows, columns, as_json=as_json)


@main.command()
@click.argument("application_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def apps(client: Client, application_id: str | None, as_json: bool) -> None:
    """List the applications in the registry, or show one."""
    if application_id is None:
        rows = ask(lambda: client.get("/apps"))
        show(rows, rows, ("id", "team_id", "name", "active", "scm_url"), as_json=as_json)
        return
    shown = ask(lambda: client.get(f"/apps/{application_id}"))
    if as_json:
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    table = Table(show_header=False, box=None)
    for name, value in shown.items():
        table.add_row(Text(name, "bold"), Text("" if value is None else printable(value)))
    Console(highlight=False).print(table)


@main.command()
@click.option("--verdict", type=click.Choice(["fail", "unknown"]), help="Only these; by default both are shown.")
@click.option("--rule", help="Only this rule.")
@click.option("--account", help="Only this account.")
@click.option("--application", help="Only this application.")
@click.option("--instance", help="Only this instance.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def violations(client: Client, /, as_json: bool, **filters: str | None) -> None:
    """List what breaks a rule, and what could not be judged. Exits 1 when something fails."""
    document, rows = all_pages(client, "/v1/violations", "violations", filters)
    columns = ("verdict", "rule", "instance_id", "application_id", "reason", "since")
    show(document, rows, columns, as_json=as_json)
    sys.exit(GAPS if any(row["verdict"] == "fail" for row in rows) else 0)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What a receipt is for; else the receipt's own name without .tlog-proof, and .json after it.",
)
@click.option(
    "--log-key",
    "log_keys",
    multiple=True,
    required=True,
    envvar="WHENCE_LOG_KEY",
    help="The log's verifier key, or a file of such keys.",
)
@click.option("--witness-key", "witness_keys", multiple=True, help="A witness's verifier key, or a file of such keys.")
@click.option(
    "--witnesses", type=click.IntRange(0, 64), help="So many of them must have cosigned; 1 unless there are none."
)
@click.option(
    "--authorities",
    "directory",
    type=click.Path(exists=True, file_okay=False),
    help="REGION.pem files instead of AWS's own certificates, for tests.",
)
def verify(
    file: Path,
    data: Path | None,
    log_keys: tuple[str, ...],
    witness_keys: tuple[str, ...],
    witnesses: int | None,
    directory: str | None,
) -> None:
    """Verify FILE, a receipt or a bundle, offline: no network, no database, no trust in the aggregator.

    Exits 0 when all of it holds, 1 when something does not, and says which entry.
    """
    try:
        wanted = evidence.policy(log_keys, witness_keys, witnesses)
        if evidence.is_receipt(file):
            click.echo(evidence.verify_receipt(file, data or _data_of(file), wanted))
        else:
            report = evidence.verify_bundle(file, wanted, evidence.authorities(directory))
            evidence.draw_report(Console(highlight=False), report)
    except (InputError, ValueError, OSError) as exc:
        end(f"{file} is not verified: {exc.diagnostics() if isinstance(exc, InputError) else exc}", GAPS)


@main.command()
@click.argument("digest")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where the files go.")
@click.pass_obj
def receipt(client: Client, digest: str, out: Path) -> None:
    """Fetch the statement DIGEST (sha256:…) and its receipt, two files that `whence verify` checks."""
    name = digest.removeprefix("sha256:")
    content = ask(lambda: client.get_bytes(f"/v1/statements/{digest}"))
    proof = ask(lambda: client.get_bytes(f"/v1/receipts/{digest}.tlog-proof"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.json").write_bytes(content)
        (out / f"{name}.tlog-proof").write_bytes(proof)
    except OSError as exc:
        end(str(exc), UNREACHABLE)
    click.echo(out / f"{name}.tlog-proof")


@main.command()
@click.option("--account", help="Only this account; entries of others are shown by their hash.")
@click.option("--from", "since", required=True, help="Beginning of the period, 2026-11-01 or 2026-11-01T12:00:00Z.")
@click.option("--to", "until", required=True, help="Its end, which is not in it any more.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@click.pass_obj
def bundle(client: Client, account: str | None, since: str, until: str, out: Path) -> None:
    """Fetch one file with every statement, proof, certificate and verdict of a period, for `whence verify`."""
    try:
        period = {"from": evidence.instant(since), "to": evidence.instant(until)}
    except InputError as exc:
        end(exc.diagnostics(), 2)
    try:
        size = ask(lambda: evidence.write_private(out, client.stream("/v1/bundles", account=account, **period)))
    except OSError as exc:
        end(f"{out}: {exc.strerror}", UNREACHABLE)
    click.echo(f"{out}: {size} bytes; check it with: whence verify {out} --log-key KEY")


@main.command()
@click.option("--silent", "account", help="List the silent instances of this account.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def accounts(client: Client, account: str | None, as_json: bool) -> None:
    """Show how many instances the EC2 API lists in each account, and how many of them are heard of.

    Exits 1 when an instance is silent.
    """
    if account is not None:
        document, rows = all_pages(client, f"/v1/accounts/{account}/silent", "silent", {})
        show(document, rows, ("instance_id", "region", "launched_at", "last_seen", "ever_spoke"), as_json=as_json)
        sys.exit(GAPS if rows else 0)
    document = ask(lambda: client.get("/v1/accounts"))
    rows = [{"account_id": one["account_id"], **region} for one in document["accounts"] for region in one["regions"]]
    show(document, rows, ("account_id", "region", "listed", "spoken", "speaking", "silent", "asked"), as_json=as_json)
    sys.exit(GAPS if any(row["silent"] for row in rows) else 0)


def _data_of(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(".tlog-proof") + ".json")


def _kind_of(subject: str) -> str:
    if _INSTANCE.match(subject):
        return "instance"
    if subject.startswith("sha256:"):
        return "image"
    if _COMMIT.match(subject):
        return "commit"
    if re.search(r"[#0-9]", subject) and re.search(r"[A-Z#]", subject):
        return "ticket"
    return "application"


main.add_command(image_commands.images)
main.add_command(image_commands.attest)
