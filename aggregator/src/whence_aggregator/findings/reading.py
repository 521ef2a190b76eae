"""Reads findings out of the parts of a file; formats are told apart by content. Pure.

Every part becomes findings or refusals, in order, each with its position in the file: the first finding has 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from whence_aggregator.findings.asff import parse_asff
from whence_aggregator.findings.finding import FileRefused, Finding, FindingRefused, Format
from whence_aggregator.findings.ocsf import parse_ocsf
from whence_aggregator.findings.sarif import failed_runs, parse_sarif
from whence_aggregator.findings.splitting import JsonPart, Splitter
from whence_common.errors import InputError, one_line
from whence_common.storable import check_json, cleaned

FINDINGS_MAX = 200_000
"""Of one request."""
_DECODER = msgspec.json.Decoder(dict[str, Any])
_UID_SHOWN_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRefusal:
    """A finding that was not taken, and why."""

    position: int
    code: str
    reason: str
    uid: str = ""
    field: str = ""

    def to_wire(self) -> dict[str, object]:
        return {
            "position": self.position, "uid": self.uid or None, "field": self.field or None, "code": self.code,
            "reason": self.reason,
        }  # fmt: skip

    @classmethod
    def of(cls, position: int, error: InputError, uid: str = "") -> FindingRefusal:
        stated = uid or getattr(error, "uid", "")
        return cls(
            position=position, code=error.code, reason=one_line(error.message), field=getattr(error, "field", ""),
            uid=one_line(stated, _UID_SHOWN_CHARACTERS_MAX),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A finding with its position."""

    position: int
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAs:
    """How a file is to be read: what its sender states about it. Empty: what the findings state themselves."""

    now: datetime
    format: Format | None = None
    account_id: str = ""
    """Of findings that name no account, as SARIF's."""
    application_id: str = ""
    """Of findings that name neither instance, image nor application."""


class FindingReader:
    """Reads one file."""

    def __init__(self, wanted: ReadAs) -> None:
        self._wanted = wanted
        self._splitter = Splitter()
        self._next = 0
        self.failed = False
        """Whether a scanner states that it failed on its way."""

    @property
    def ended(self) -> bool:
        """Return whether the file is whole, once all of it was fed."""
        return self._splitter.ended

    @property
    def read_so_far(self) -> int:
        """Return how many findings were read: the position of the next one."""
        return self._next

    def parts(self, chunk: bytes) -> Iterator[JsonPart]:
        """Yield the parts that end with a chunk. Raises FileRefused."""
        yield from self._splitter.feed(chunk)

    def read(self, part: JsonPart) -> Iterator[Placed | FindingRefusal]:
        """Yield what is in a part. Raises FileRefused."""
        for found in self._found(part):
            position = self._next
            self._next += 1
            if self._next > FINDINGS_MAX:
                raise FileRefused("findings-too-many", f"the file has more than {FINDINGS_MAX} findings: send parts")
            if isinstance(found, InputError):
                yield FindingRefusal.of(position, found)
            else:
                yield Placed(position=position, finding=self._located(found))

    def _found(self, part: JsonPart) -> Iterator[Finding | InputError]:
        if part.problem:
            yield FindingRefused("finding-malformed", "", f"byte {part.at}: {part.problem}")
            return
        try:
            check_json(part.content, f"the finding at byte {part.at}")
            document = _DECODER.decode(part.content)
        except InputError as exc:
            yield exc
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            yield FindingRefused("finding-malformed", "", f"byte {part.at}: not JSON: {one_line(str(exc), 120)}")
            return
        yield from self._of_document(cleaned(document))

    def _of_document(self, document: Mapping[str, Any]) -> Iterator[Finding | InputError]:
        detail = document.get("detail")
        if isinstance(detail, dict) and "detail-type" in document:  # EventBridge's envelope
            document = detail
        for name in ("Findings", "findings"):
            listed = document.get(name)
            if isinstance(listed, list):
                for one in listed:
                    yield from self._of_one(one if isinstance(one, dict) else {})
                return
        yield from self._of_one(document)

    def _of_one(self, document: Mapping[str, Any]) -> Iterator[Finding | InputError]:
        stated = format_of(document)
        wanted = self._wanted.format
        try:
            if stated is None or (wanted is not None and stated != wanted):
                name = wanted.upper() if wanted is not None else "OCSF, ASFF or SARIF"
                raise FindingRefused("finding-format", "", f"this is not a finding in {name}")
            if stated == "sarif":
                self.failed = self.failed or failed_runs(document)
                yield from parse_sarif(document, now=self._wanted.now)
            else:
                yield (parse_ocsf if stated == "ocsf" else parse_asff)(document, now=self._wanted.now)
        except FindingRefused as exc:
            yield exc

    def _located(self, finding: Finding) -> Finding:
        resource, wanted = finding.resource, self._wanted
        account_id = resource.account_id or wanted.account_id
        named = resource.instance_id or resource.image_digest or resource.application_id
        application_id = resource.application_id if named else wanted.application_id
        if (account_id, application_id) == (resource.account_id, resource.application_id):
            return finding
        return replace(finding, resource=replace(resource, account_id=account_id, application_id=application_id))


def format_of(document: Mapping[str, Any]) -> Format | None:
    """Return the format that a document has by its members; None for another document."""
    if "class_uid" in document or "finding_info" in document:
        return "ocsf"
    if "SchemaVersion" in document or "ProductArn" in document:
        return "asff"
    return "sarif" if "runs" in document else None
