"""whence verify, receipt and bundle: the auditor's commands."""

from __future__ import annotations

from pathlib import Path

import click

from whence_aggregator.whence import evidence
from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import FAILED, GAPS, USAGE, ask, console, end
from whence_aggregator.whence.output import out as write
from whence_aggregator.whence.provenance import Expected, verify_file
from whence_common.errors import InputError


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The receipt's statement; by default the receipt's name with .json in place of .tlog-proof.",
)
@click.option(
    "--log-key",
    "log_keys",
    multiple=True,
    envvar="WHENCE_LOG_KEY",
    help="The log's verifier key, or a file of such keys; required for a receipt or a bundle.",
)
@click.option("--witness-key", "witness_keys", multiple=True, help="A witness's verifier key, or a file of such keys.")
@click.option(
    "--witnesses",
    type=click.IntRange(0, 64),
    help="Required number of cosigning witnesses; by default 1 with --witness-key, else 0.",
)
@click.option(
    "--authorities",
    "directory",
    type=click.Path(exists=True, file_okay=False),
    help="Directory of REGION.pem files to use instead of AWS's certificates, for tests.",
)
@click.option(
    "--provenance",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="SLSA provenance of FILE, in a Sigstore bundle; FILE may then be any file.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The public key of the provenance's builder, P-256 in PEM.",
)
@click.option("--builder-id", help="With --provenance: the builder id that it must state.")
@click.option("--source", help="With --provenance: the repository that it must state.")
@click.option("--commit", help="With --provenance: the full commit id that it must state.")
def verify(
    file: Path,
    data: Path | None,
    log_keys: tuple[str, ...],
    witness_keys: tuple[str, ...],
    witnesses: int | None,
    directory: str | None,
    provenance: Path | None,
    key: Path | None,
    builder_id: str | None,
    source: str | None,
    commit: str | None,
) -> None:
    """Verify FILE, a receipt or a bundle, offline: without network, database or trust in the aggregator.

    With --provenance and --key, verify any file, such as one of a release, by its build's signed provenance.

    Exits 0 if everything is valid; otherwise exits 1 and names the invalid entry.
    """
    if "" in (builder_id, source, commit):
        end("--builder-id, --source and --commit must not be empty: is a variable not set?", USAGE)
    expected = Expected(builder_id=builder_id or "", source=source or "", commit=commit or "")
    if provenance is not None:
        _verify_built(file, provenance, key, expected)
        return
    if key is not None or expected != Expected():
        end("--key, --builder-id, --source and --commit need --provenance", USAGE)
    if not log_keys:
        end("Missing option '--log-key': the log's verifier key, or --provenance and --key for another file", USAGE)
    try:
        wanted = evidence.policy(log_keys, witness_keys, witnesses)
    except (InputError, ValueError, OSError) as exc:
        end(f"the keys cannot be used: {exc.diagnostics() if isinstance(exc, InputError) else exc}", USAGE)
    try:
        if evidence.is_receipt(file):
            write(evidence.verify_receipt(file, data or _data_of(file), wanted) + "\n")
        else:
            report = evidence.verify_bundle(file, wanted, evidence.authorities(directory))
            evidence.draw_report(console(), report)
    except (InputError, ValueError, OSError) as exc:
        end(f"{file} is not verified: {exc.diagnostics() if isinstance(exc, InputError) else exc}", GAPS)


def _verify_built(file: Path, provenance: Path, key: Path | None, expected: Expected) -> None:
    if key is None:
        end("--provenance needs --key: the public key of the builder", USAGE)
    try:
        write(verify_file(file, provenance, key, expected) + "\n")
    except (InputError, OSError) as exc:
        end(f"{file} is not verified: {exc.diagnostics() if isinstance(exc, InputError) else exc}", GAPS)


@click.command()
@click.argument("digest")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Output directory.")
@click.pass_obj
def receipt(client: Client, digest: str, out: Path) -> None:
    """Fetch the statement DIGEST (sha256:…) and its receipt as two files for `whence verify`."""
    name = digest.removeprefix("sha256:")
    content = ask(lambda: client.get_bytes(f"/v1/statements/{segment(digest)}"))
    proof = ask(lambda: client.get_bytes(f"/v1/receipts/{segment(digest)}.tlog-proof"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.json").write_bytes(content)
        (out / f"{name}.tlog-proof").write_bytes(proof)
    except OSError as exc:
        end(f"{out}: {exc.strerror}", FAILED)
    write(f"{out / name}.tlog-proof\n")


@click.command()
@click.option(
    "--account", help="Only this account: entries about instances of other accounts are included by hash only."
)
@click.option("--from", "since", required=True, help="Beginning of the period, 2026-11-01 or 2026-11-01T12:00:00Z.")
@click.option("--to", "until", required=True, help="End of the period, exclusive.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@click.pass_obj
def bundle(client: Client, account: str | None, since: str, until: str, out: Path) -> None:
    """Fetch all statements, proofs, certificates and verdicts of a period as one file for `whence verify`."""
    try:
        period = {"from": evidence.instant(since), "to": evidence.instant(until)}
    except InputError as exc:
        end(exc.diagnostics(), USAGE)
    try:
        size = ask(lambda: evidence.write_private(out, client.stream("/v1/bundles", account=account, **period)))
    except OSError as exc:
        end(f"{out}: {exc.strerror}", FAILED)
    write(f"{out}: {size} bytes; verify it with: whence verify {out} --log-key KEY\n")


def _data_of(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(".tlog-proof") + ".json")
