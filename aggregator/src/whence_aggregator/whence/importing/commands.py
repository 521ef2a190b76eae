"""whence import: applications from a running Kio, a file, or Backstage's catalog files."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.importing.backstage import CatalogOptions, map_catalog
from whence_aggregator.whence.importing.carrying_out import AppsOverHttp
from whence_aggregator.whence.importing.catalog_files import CatalogTree, read_entities
from whence_aggregator.whence.importing.directories import DirectoryTree
from whence_aggregator.whence.importing.git_trees import GitAccess, GitTree, checked_repository
from whence_aggregator.whence.importing.kio import KioOverHttp, read_kio
from whence_aggregator.whence.importing.list_file import LIST_BYTES_MAX, read_list
from whence_aggregator.whence.importing.pace import Pace
from whence_aggregator.whence.importing.references import is_namespace
from whence_aggregator.whence.importing.report import report_document, report_lines, summary
from whence_aggregator.whence.importing.running import ImportOptions, ImportOutcome, ProgressLines, run_import
from whence_aggregator.whence.importing.state import ImportState, load_state
from whence_aggregator.whence.importing.teams_file import check_replaceable, write_teams
from whence_aggregator.whence.importing.values import SourceReading
from whence_aggregator.whence.output import GAPS, USAGE, ask, end, note, out, show_json
from whence_common.errors import InputError
from whence_common.login_file import LOGIN_BYTES_MAX, parse_login
from whence_common.registry_sign_in import Login
from whence_common.visible import printable

_FILE_NAMES = ("catalog-info.yaml", "catalog-info.yml")
_OWN_PACE_PER_SECOND_MAX = 200.0
_TOKEN_BYTES_MAX = 64 * 1024
_SHOWN_IDS_MAX = 20
_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group(name="import")
def import_group() -> None:
    """Import applications, as the caller whose token is used: each is written with PUT /apps/{id}.

    Import twice, and the second run writes nothing. A record that cannot be mapped is reported with its place, reason
    and fix, and does not stop the rest; no name is rewritten. A field that the source does not state is left as it is.
    Exits 1 if a record was not mapped or refused.
    """


def _writing(command: _Command) -> _Command:
    """Add the options that all sources have."""
    options = (
        click.option("--dry-run", is_flag=True, help="Show what would be written, field by field; write nothing."),
        click.option("--hand-over", is_flag=True, help="Also change the team of existing applications."),
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@import_group.command(name="kio")
@click.argument("url")
@click.option("--kio-token-file", type=click.Path(dir_okay=False, path_type=Path),
              help="File with the token for Kio; by default WHENCE_KIO_TOKEN is used.")  # fmt: skip
@click.option("--kio-ca-file", help="PEM file with additional CA certificates for Kio.")
@_writing
@click.pass_obj
def import_kio(
    client: Client, url: str, kio_token_file: Path | None, kio_ca_file: str | None, dry_run: bool, hand_over: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Import the applications of the Kio at URL; an aggregator is a Kio too."""
    progress = _progress()

    def reading() -> SourceReading:
        token = _first_line(kio_token_file) if kio_token_file is not None else os.environ.get("WHENCE_KIO_TOKEN")
        kio = Client(url=url, token=token, ca_file=kio_ca_file)
        source = KioOverHttp(kio, url=kio.url, pace=_pace())
        return read_kio(source, url=kio.url, progress=lambda number, total: progress(f"reading {number} of {total}"))

    _run(client, ask(reading), ImportOptions(dry_run=dry_run, hand_over=hand_over), progress, as_json=as_json)


@import_group.command(name="file")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@_writing
@click.pass_obj
def import_file(client: Client, file: str, dry_run: bool, hand_over: bool, as_json: bool) -> None:
    """Import a list in Kio's fields from FILE, YAML or JSON; `-` is stdin.

    The output of `kio applications list -o json` and of Kio's GET /apps are such lists.
    """
    try:
        if file == "-":
            content = sys.stdin.buffer.read(LIST_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(LIST_BYTES_MAX + 1)
    except OSError as exc:
        end(f"{file} cannot be read: {exc.strerror}", USAGE)
    reading = read_list(content, file="stdin" if file == "-" else file)
    _run(client, reading, ImportOptions(dry_run=dry_run, hand_over=hand_over), _progress(), as_json=as_json)


@import_group.command(name="backstage")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--repository", "repositories", multiple=True, metavar="URL",
              help="Fetch this repository's default branch, by https or ssh.")  # fmt: skip
@click.option("--allow", "allowed", multiple=True, envvar="WHENCE_IMPORT_ALLOW", metavar="PREFIX",
              help="Prefix of URLs that may be fetched, as in https://git.example.org/shop.")  # fmt: skip
@click.option("--git-login", "logins", multiple=True, metavar="HOST=FILE",
              help="File with USER:PASSWORD for a Git host; sent by https only.")  # fmt: skip
@click.option("--git-ca-file", type=click.Path(exists=True, dir_okay=False, resolve_path=True),
              help="PEM file with the CA certificates for Git servers, in place of the system's.")  # fmt: skip
@click.option("--file-name", "file_names", multiple=True, default=_FILE_NAMES, show_default=True, metavar="PATTERN",
              help="Names of the files that are read in directories and repositories.")  # fmt: skip
@click.option("--namespace", "namespaces", multiple=True, help="Only entities of this namespace; by default all.")
@click.option("--tier", "tier_key", default="tier", show_default=True, help="Label or annotation with the criticality.")
@click.option("--jira-url", default="", help="URL of the Jira that jira/project-key refers to.")
@click.option("--teams", "teams_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Write Groups and Users to this organisation file, for review.")  # fmt: skip
@click.option("--state", "state_file", type=click.Path(dir_okay=False, path_type=Path),
              help="File in which runs remember which applications they created.")  # fmt: skip
@click.option("--deactivate-missing", is_flag=True,
              help="Deactivate what earlier runs with this --state created, and the source no longer has.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Deactivate without asking.")
@_writing
@click.pass_obj
def import_backstage(
    client: Client, /, paths: tuple[Path, ...], repositories: tuple[str, ...], deactivate_missing: bool, yes: bool,
    dry_run: bool, hand_over: bool, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Import the Components in Backstage's catalog files below PATHS, or in repositories.

    PATHS are directories, in which every catalog-info.yaml is read, or files. Locations lead to files of the same
    directory or repository only; symbolic links and $text, $json and $yaml are not followed. Members of teams are not
    written to the aggregator: --teams writes a file for an operator's review.
    """
    if not paths and not repositories:
        raise click.UsageError("pass a directory or file, or --repository URL")
    if deactivate_missing and options["state_file"] is None:
        raise click.UsageError("--deactivate-missing needs --state FILE, which earlier runs wrote")
    progress = _progress()
    with ExitStack() as stack:
        try:
            reading = _catalog(stack, paths, repositories, options, progress)
            state = _state(client, reading, options["state_file"])
            if options["teams_file"] is not None:
                check_replaceable(options["teams_file"])
        except InputError as exc:
            end(exc.diagnostics(), USAGE)
    _run(
        client, reading,
        ImportOptions(dry_run=dry_run, hand_over=hand_over, deactivate_missing=deactivate_missing), progress,
        as_json=as_json, state=state, teams_file=options["teams_file"], yes=yes,
    )  # fmt: skip


def _catalog(
    stack: ExitStack,
    paths: Sequence[Path],
    repositories: Sequence[str],
    options: dict[str, Any],
    progress: ProgressLines,
) -> SourceReading:
    """Read all paths and repositories. Raises InputError before anything is fetched if one is not allowed."""
    for namespace in options["namespaces"]:
        if not is_namespace(namespace):
            raise InputError("import-namespace", f"{namespace!r} is not a namespace", fix="use lower-case letters")
    repositories = [checked_repository(url, options["allowed"]) for url in repositories]
    trees: list[CatalogTree] = [DirectoryTree(path, file_names=options["file_names"]) for path in paths]
    trees += _fetched(stack, repositories, options, progress)
    named = sorted([*(str(path.resolve()) for path in paths), *repositories])
    reading = SourceReading(source="backstage:" + ",".join(named))
    entities = read_entities(trees, reading, progress=lambda number: progress(f"reading file {number}"))
    chosen = CatalogOptions(
        jira_url=options["jira_url"], tier_key=options["tier_key"], namespaces=frozenset(options["namespaces"])
    )
    map_catalog(entities, chosen, reading)
    return reading


def _fetched(
    stack: ExitStack, repositories: Sequence[str], options: dict[str, Any], progress: ProgressLines
) -> Iterator[CatalogTree]:
    access = GitAccess(
        path=os.environ.get("PATH", ""),
        logins=dict(_login(one) for one in options["logins"]),
        ca_file=options["git_ca_file"],
    )
    for url in repositories:
        progress(f"fetching {url}")
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="whence-import-")))
        yield GitTree(url, directory, file_names=options["file_names"], access=access)


def _login(text: str) -> tuple[str, Login]:
    host, equals, file = text.partition("=")
    if not host or not equals or not file:
        raise InputError("import-login", f"{text!r} is not HOST=FILE", fix="write git.example.org=/run/secrets/git")
    try:
        with Path(file).open("rb") as stream:
            return host.lower(), parse_login(stream.read(LOGIN_BYTES_MAX + 1), host=host.lower(), name=file)
    except OSError as exc:
        raise InputError("import-login", f"{file} cannot be read: {exc.strerror}", fix="correct --git-login") from exc


def _state(client: Client, reading: SourceReading, path: Path | None) -> ImportState | None:
    return load_state(path, aggregator=client.url, source=reading.source) if path is not None else None


def _run(
    client: Client,
    reading: SourceReading,
    options: ImportOptions,
    progress: ProgressLines,
    *,
    as_json: bool,
    state: ImportState | None = None,
    teams_file: Path | None = None,
    yes: bool = False,
) -> None:
    """Write a reading, print the report and exit with its code."""
    registry = AppsOverHttp(client, pace=_pace(_OWN_PACE_PER_SECOND_MAX))

    def confirm(ids: Sequence[str]) -> bool:
        return yes or _confirmed(ids)

    def run() -> ImportOutcome:
        return run_import(reading, registry, options, state=state, confirm=confirm, progress=progress)

    try:
        outcome = ask(run)
    except OSError as exc:
        end(f"{exc.filename or 'the state file'} cannot be written: {exc.strerror}", USAGE)
    unwritten = _write_teams(outcome, teams_file)
    if as_json:
        show_json(report_document(outcome))
    else:
        for line in report_lines(outcome):
            out(printable(line) + "\n")
    note(summary(outcome))
    if unwritten:
        end(unwritten, USAGE)
    if outcome.failure is not None:
        ask(_raising(outcome.failure))
    sys.exit(GAPS if outcome.problems else 0)


def _write_teams(outcome: ImportOutcome, path: Path | None) -> str:
    """Write the organisation file, except in a dry run; return why it could not be written."""
    if path is None or outcome.dry_run:
        return ""
    try:
        outcome.teams_file = write_teams(path, outcome.reading.teams)
    except OSError as exc:
        return f"{path} cannot be written: {exc.strerror}"
    except InputError as exc:
        return exc.diagnostics()
    return ""


def _raising(failure: Exception) -> Callable[[], None]:
    def again() -> None:
        raise failure

    return again


def _confirmed(ids: Sequence[str]) -> bool:
    """Ask whether to deactivate; no answer means no."""
    shown = ", ".join(ids[:_SHOWN_IDS_MAX]) + (" …" if len(ids) > _SHOWN_IDS_MAX else "")
    try:
        return click.confirm(f"Deactivate {len(ids)} applications that the source no longer has ({shown})?", err=True)
    except click.Abort:
        return False


def _first_line(path: Path) -> str:
    try:
        with path.open("r", encoding="ascii") as stream:
            return stream.read(_TOKEN_BYTES_MAX).strip()
    except (OSError, ValueError) as exc:
        raise InputError("kio-token", f"{path} cannot be read as a token", fix="correct --kio-token-file") from exc


def _progress() -> ProgressLines:
    return ProgressLines(seconds=time.monotonic, say=note)


def _pace(per_second_max: float | None = None) -> Pace:
    if per_second_max is None:
        return Pace(seconds=time.monotonic, sleep=time.sleep)
    return Pace(seconds=time.monotonic, sleep=time.sleep, per_second_max=per_second_max)
