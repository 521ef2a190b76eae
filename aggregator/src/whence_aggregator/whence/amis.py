"""whence ami and whence attest --ami: what is known of an AMI, and the signed statement about it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.whence.ages import age
from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import (
    GAPS,
    USAGE,
    ask,
    document_of,
    end,
    json_list,
    listed,
    listing,
    note,
    out,
    show_json,
    show_lines,
    show_list,
)
from whence_common.ami_provenance import STATEMENT_BYTES_MAX, AmiProvenance
from whence_common.clock import to_instant, utc_now
from whence_common.digest import is_sha256_digest
from whence_common.envelope import Envelope, seal
from whence_common.errors import InputError
from whence_common.identifiers import REGION
from whence_common.loose_json import loose

_AMI = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?\Z")
_FILE_BYTES_MAX = STATEMENT_BYTES_MAX * 4 // 3 + 64 * 1024
_PACKAGES = ("system", "name", "architecture", "version", "origin", "suite", "component")


@click.command()
@click.argument("image_id", metavar="AMI")
@click.option("--packages", is_flag=True, help="List its packages.")
@listing
@click.pass_obj
def ami(client: Client, /, image_id: str, packages: bool, limit: int, everything: bool, as_json: bool) -> None:
    """Show what an AMI consists of, by the signed statement about it, and how many instances run it.

    --limit and --all are for --packages. Exits 1 if no statement is confirmed, 4 if nothing names the AMI.
    """
    path = f"/v1/amis/{segment(image_id)}"
    if packages:
        found = listed(client, f"{path}/packages", "packages", {}, None if everything else limit)
        if as_json:
            json_list(found, "packages")
            note(found.note())
        else:
            show_list(found, "packages", _PACKAGES, as_json=False)
        return
    shown = document_of(client, path, "state", "statements", "instances")
    if as_json:
        show_json(shown)
    else:
        _show(shown)
    sys.exit(0 if shown["state"] == "confirmed" else GAPS)


def _show(shown: Mapping[str, Any]) -> None:
    now = to_instant(utc_now())
    lines: list[tuple[str, object]] = [
        ("AMI", shown["image_id"]),
        ("statement", shown["state"] + (f": {shown['reason']}" if shown["reason"] else "")),
    ]
    for one in shown["statements"]:
        built = age(one["finished_at"], now)
        lines += [
            ("  digest", one["digest"]),
            ("  image", f"{one['name']} in {one['region']}, root {one['root_digest']}"),
            ("  commit", _commit(one)),
            ("  builder", one["builder_id"] + ("" if one["trusted"] else " (not trusted)")),
            ("  built", one["finished_at"] + (f", {built} ago" if built else "")),
            ("  packages", one["packages"]),
            ("  recorded", f"{one['recorded_at']} by {one['recorded_by']}, entry {one['ledger_index']}"),
        ]
    lines.append(("instances", f"{shown['instances']} run it{_regions(shown['regions'])}"))
    for one in shown["agents"]:
        changed = f", packages differ on {one['changed']}" if one["changed"] else ""
        lines.append(("agents", f"{one['instances']} state {one['digest']}{changed}"))
    show_lines(lines)


def _commit(one: Mapping[str, Any]) -> str:
    if one["commit"] is None:
        return "not stated"
    return f"{one['commit']} of {one['repository']}" + (", with uncommitted changes" if one["modified"] else "")


def _regions(regions: Mapping[str, int]) -> str:
    return ": " + ", ".join(f"{count} in {name}" for name, count in regions.items()) if regions else ""


def attest_ami(
    client: Client, statement: str, amis: Sequence[str], region: str | None, key: ec.EllipticCurvePrivateKey | None
) -> None:
    """Sign a statement unless it is signed, send it, and print its digest. Exits 1 if another one contradicts it."""
    try:
        named = [_named(one, region) for one in amis]
        body = {"statement": _statement(statement, key), "amis": named}
    except InputError as exc:
        end(exc.diagnostics(), USAGE)
    except OSError as exc:
        end(f"{statement}: {exc.strerror}", USAGE)
    recorded = ask(lambda: client.post("/v1/amis", body))
    for one in recorded["contradicts"]:
        note(f"whence: {one['image_id']} in {one['region']} has another statement: {one['digest']}")
    note(f"whence: {'recorded' if recorded['new'] else 'known already'}, entry {recorded['index']}")
    out(recorded["digest"] + "\n")
    sys.exit(GAPS if recorded["contradicts"] else 0)


def _named(text: str, region: str | None) -> dict[str, str]:
    """Return an AMI, written as `ami-…` or `REGION/ami-…`."""
    before, _, image_id = text.rpartition("/")
    place = before or region or ""
    if not _AMI.match(image_id) or not REGION.match(place):
        raise InputError(
            "ami-malformed", f"not an AMI in a region: {text!r}",
            fix="write --ami ami-0123456789abcdef0 --region eu-central-1, or --ami eu-west-1/ami-0123456789abcdef0",
        )  # fmt: skip
    return {"region": place, "image_id": image_id}


def _statement(name: str, key: ec.EllipticCurvePrivateKey | None) -> object:
    """Return a digest, or an envelope. Raises InputError or OSError."""
    if is_sha256_digest(name):
        return name
    with Path(name).open("rb") as stream:
        content = stream.read(_FILE_BYTES_MAX + 1)
    if len(content) > _FILE_BYTES_MAX:
        raise InputError("statement-too-large", f"{name} is larger than {_FILE_BYTES_MAX} bytes")
    if "payloadType" in loose(content):
        Envelope.parse(content, bytes_max=_FILE_BYTES_MAX)
        return json.loads(content)
    AmiProvenance.parse(content)
    if key is None:
        raise InputError("key-missing", f"{name} is not signed", fix="add --key with the builder's private key")
    return json.loads(seal(key, content, named=False))
