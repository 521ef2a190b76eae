"""Verify receipts and bundles without network, and print their contents."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whence_common.clock import from_millis
from whence_common.errors import InputError
from whence_common.evidence_bundle import LINE_BYTES_MAX, Report, check
from whence_common.identity_document import Authorities
from whence_common.log_policy import LogKeys, Policy, RevokedKey, parse_keys
from whence_common.note import VerifierKey
from whence_common.receipt import RECEIPT_BYTES_MAX, Receipt
from whence_common.visible import printable

_ENTRY_BYTES_MAX = 1024 * 1024
_SHOWN_MAX = 200


def policy(log_keys: tuple[str, ...], witness_keys: tuple[str, ...], least: int | None) -> Policy:
    """Return the policy of these keys; each is a verifier key or a file of them. Raises InputError or OSError."""
    logs, witnesses = _keys(log_keys), _keys(witness_keys).keys
    wanted = least if least is not None else min(1, len(witnesses))
    return Policy(log_keys=logs.keys, witness_keys=witnesses, witnesses_least=wanted, revoked=logs.revoked)


def authorities(directory: str | None) -> Authorities:
    """Return AWS's certificates, which this program includes, or those of a directory."""
    if directory is None:
        files = (resources.files("whence_aggregator") / "aws_certificates").iterdir()
        return Authorities.from_pem({file.name.removesuffix(".pem"): file.read_bytes() for file in files})
    return Authorities.from_pem({path.stem: path.read_bytes() for path in Path(directory).glob("*.pem")})


def is_receipt(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(8) == b"c2sp.org"


def verify_receipt(path: Path, data: Path, wanted: Policy) -> str:
    """Verify a receipt for a file; return a sentence about the result. Raises InputError or OSError."""
    with path.open("rb") as stream:
        receipt = Receipt.parse(stream.read(RECEIPT_BYTES_MAX + 1))
    with data.open("rb") as stream:
        content = stream.read(_ENTRY_BYTES_MAX)
    checkpoint, witnesses = receipt.check(content, wanted)
    seen = (
        f", cosigned by {', '.join(key.name for key in witnesses)}"
        if witnesses
        else ", not cosigned by a known witness"
    )
    return f"{data} is entry {receipt.index} of {checkpoint.origin}, which has {checkpoint.size} entries{seen}"


def verify_bundle(path: Path, wanted: Policy, trusted: Authorities) -> Report:
    """Verify a bundle and return its contents. Raises InputError or OSError."""
    return check(_lines(path), wanted, trusted)


def draw_report(console: Console, report: Report) -> None:
    """Print the contents of a verified bundle."""
    header, checkpoint = report.header, report.checkpoint
    about = f"account {header.account}" if header.account else "all accounts"
    console.print(Text(f"Evidence about {about}, {header.since} to {header.until}", "bold"))
    console.print(
        f"verified: entries {header.first} to {header.past - 1} of {printable(checkpoint.origin)}, "
        f"{checkpoint.size} entries; every signature, proof and certificate is valid"
        if header.past > header.first
        else f"verified: nothing was recorded in this period; {printable(checkpoint.origin)}, {checkpoint.size} entries"
    )
    console.print(f"cosigned by: {', '.join(report.witnesses) or 'no known witness'}")
    for index, revoked in report.revoked:
        how = "stolen" if revoked.stolen else "lost"
        about = f"entry {index}: revoked from size {revoked.from_size} on, {how}: "
        console.print(about + printable(str(revoked.key)))
    if report.hidden:
        console.print(f"{report.hidden} entries of other accounts, or pruned, are shown by their hash only")
    if report.enrolments:
        rows = [
            (str(index), _of(one, "instance_id"), one["level"], one["enrolled_at"]) for index, one in report.enrolments
        ]
        console.print(_table("Keys bound", ("entry", "instance", "proof", "at"), rows))
    if report.statements:
        columns = ("entry", "recorded", "instance", "cause", "application", "version", "image", "commit")
        console.print(_table("Statements", columns, [_statement(*one) for one in report.statements]))
    failed = [
        (str(index), event["subject"]["id"], one["rule"], one["verdict"], one["reason"], event["at"])
        for index, event in report.verdicts
        for one in event["verdicts"]
        if one["verdict"] in ("fail", "unknown")
    ]
    if failed:
        console.print(_table("Verdicts", ("entry", "subject", "rule", "verdict", "reason", "at"), failed))
    if report.others:
        console.print("also: " + ", ".join(f"{count} {kind}" for kind, count in sorted(report.others.items())))


def write_private(path: Path, parts: Iterator[bytes]) -> int:
    """Write a file whole or not at all; return its size."""
    partial, size = path.with_name(path.name + ".part"), 0
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for part in parts:
                size += stream.write(part)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return size


def instant(text: str) -> str:
    """Return a day or an instant as an instant in UTC. Raises InputError."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as exc:
        raise InputError(
            "time-malformed", f"{text!r} is not a time", fix="write 2026-11-22 or 2026-11-22T12:00:00Z"
        ) from exc


def _statement(index: int, recorded_at: str, predicate: Any) -> tuple[str, ...]:
    source = predicate.scm_source.document if predicate.scm_source and predicate.scm_source.document else {}
    return (
        str(index),
        from_millis(int(recorded_at)) if recorded_at else "",
        predicate.instance.instance_id,
        predicate.cause,
        predicate.application_id or "",
        predicate.application_version or "",
        predicate.image.digest[:19] if predicate.image else "",
        str(source.get("revision", ""))[:12],
    )


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    more = f" (the first {_SHOWN_MAX} of {len(rows)})" if len(rows) > _SHOWN_MAX else f" ({len(rows)})"
    table = Table(title=title + more, box=None, header_style="bold", pad_edge=False, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows[:_SHOWN_MAX]:
        table.add_row(*(Text(printable(value)) for value in row))
    return table


def _of(enrolment: Any, name: str) -> str:
    return str(enrolment["instance"][name])


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while line := stream.readline(LINE_BYTES_MAX + 2):
            yield line


def _keys(given: tuple[str, ...]) -> LogKeys:
    """Return the keys in the arguments, each a key or a file of keys."""
    keys: list[VerifierKey] = []
    revoked: list[RevokedKey] = []
    for one in given:
        if Path(one).is_file():
            found = parse_keys(Path(one).read_text(encoding="ascii", errors="replace"))
            keys += found.keys
            revoked += found.revoked
        elif one.startswith("revoked "):
            revoked.append(RevokedKey.parse(one))
        else:
            keys.append(VerifierKey.parse(one))
    return LogKeys(keys=tuple(keys), revoked=tuple(revoked))
