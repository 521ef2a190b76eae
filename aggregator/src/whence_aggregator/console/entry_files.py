"""Statements and receipts as files that the browser saves, named as `whence verify` finds them beside each other."""

from __future__ import annotations

from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.frame import part
from whence_aggregator.console.page import PageAnswer, SavedAnswer, SavedFile, Visit
from whence_common.digest import is_sha256_digest

_PROOF = ".tlog-proof"


async def save_statement(visit: Visit) -> PageAnswer:
    """Save the statement with a digest, verbatim."""
    digest = visit.path["digest"]
    return SavedAnswer(name=f"{digest.removeprefix('sha256:')}.json", path=f"/v1/statements/{part(digest)}")


async def save_receipt(visit: Visit) -> PageAnswer:
    """Save the receipt of an entry, which is named by the digest of its bytes or by its number."""
    name = visit.path["name"].removesuffix(_PROOF)
    if is_sha256_digest(name):
        return SavedAnswer(name=f"{name.removeprefix('sha256:')}{_PROOF}", path=f"/v1/receipts/{part(name)}{_PROOF}")
    if not (name.isascii() and name.isdigit()):
        raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "there is no such receipt"}))
    entry = await visit.ask.get(f"/v1/log/entries/{part(name)}")
    stem = str(entry["digest"] or f"entry-{name}").removeprefix("sha256:")
    return SavedFile(name=f"{stem}{_PROOF}", media_type="text/plain", content=str(entry["receipt"]).encode())
