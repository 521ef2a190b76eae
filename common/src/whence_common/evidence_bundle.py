"""Evidence bundles: all entries of a period in one file, which can be verified offline.

The format is JSON lines. First a header with the signed checkpoint and the hashes left and right of the period; then
one line for each entry of the period, in order: its verbatim bytes as text, or only its leaf hash if the entry concerns
another account or was pruned. Enrolments from before the period have an inclusion proof of their own. The last line
marks the end. The checkpoint's root is computed from these, so a removed, added, moved or changed entry is detected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from whence_common import strict_base64
from whence_common.clock import MILLIS_MAX
from whence_common.enrolment_proof import proof_content
from whence_common.envelope import Envelope
from whence_common.errors import InputError
from whence_common.identity_document import Authorities, verify
from whence_common.keys import key_id, public_key_from_wire, signature_holds
from whence_common.ledger_entry import kind_of, leaf_data
from whence_common.log_policy import Policy, RevokedKey, revoked_of
from whence_common.merkle import check_inclusion, leaf_hash, node_hash
from whence_common.note import Checkpoint, Note
from whence_common.statement import Predicate, Statement

HEADER_TYPE, END_TYPE = "urn:whence:bundle:v1", "urn:whence:bundle-end:v1"
LINE_BYTES_MAX = 2 * 1024 * 1024
_HEIGHT_MAX = 62
S = TypeVar("S")
Taken = Callable[[int, bytes, bytes | None], None]
"""Receives an entry: its index, the hash of its leaf, and its bytes; None where only the hash is in the bundle."""


class BundleInvalid(InputError):
    """The file is not a bundle, or differs from what was signed. `index` is the number of the invalid entry."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__("bundle-invalid", message if index is None else f"entry {index}: {message}")
        self.index = index


class Subtree(msgspec.Struct, frozen=True):
    """The hash of a complete subtree outside the period; `hash` is base64."""

    height: int
    number: int
    hash: str


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """The file's scope: the entries [first, past) of the log with this `checkpoint`."""

    type: Literal["urn:whence:bundle:v1"] = "urn:whence:bundle:v1"
    checkpoint: str
    account: str | None
    since: str
    until: str
    first: int
    past: int
    outside: list[Subtree]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry: its text in `content`, or its hash in `leaf`; entries from before the period have a `proof`."""

    index: int
    content: str | None = None
    leaf: str | None = None
    proof: list[str] | None = None


class _Clock(msgspec.Struct):
    recorded_at: Annotated[int, msgspec.Meta(ge=-MILLIS_MAX, le=MILLIS_MAX)]


class _Judged(msgspec.Struct):
    rule: str
    verdict: str
    reason: str


class _Subject(msgspec.Struct):
    kind: str
    id: str


class _Verdict(msgspec.Struct):
    subject: _Subject
    at: str
    verdicts: list[_Judged]


class _Bound(msgspec.Struct):
    level: str
    enrolled_at: str


class End(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["urn:whence:bundle-end:v1"] = "urn:whence:bundle-end:v1"
    entries: int


@dataclass(slots=True)
class Report:
    """The contents of a verified bundle."""

    header: Header
    checkpoint: Checkpoint
    witnesses: tuple[str, ...]
    statements: list[tuple[int, str, Predicate]] = field(default_factory=list)
    """(index, time of recording, predicate)."""
    enrolments: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    verdicts: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    revoked: list[tuple[int, RevokedKey]] = field(default_factory=list)
    """Keys of the log that entries of the period revoke."""
    others: dict[str, int] = field(default_factory=dict)
    """The number of entries of each other kind."""
    hidden: int = 0
    """The number of entries of the period that are present by their hash only."""


def outside(first: int, past: int, size: int) -> list[tuple[int, int]]:
    """Return the complete subtrees (height, number) that cover the leaves left and right of [first, past)."""
    found: list[tuple[int, int]] = []

    def cover(low: int, high: int) -> None:
        count = high - low
        if count <= 0 or (first <= low and high <= past):
            return
        if (high <= first or low >= past) and not count & (count - 1):
            found.append((count.bit_length() - 1, low >> (count.bit_length() - 1)))
            return
        split = low + (1 << ((count - 1).bit_length() - 1))
        cover(low, split)
        cover(split, high)

    cover(0, size)
    return found


def check(lines: Iterable[bytes], policy: Policy, authorities: Authorities, *, taken: Taken | None = None) -> Report:
    """Verify a bundle and return its contents. Raises BundleInvalid, which names the entry, or another InputError.

    `taken` is called for each entry: nothing that it was called with is verified before this returns.
    """
    reader = _Reader(iter(lines))
    header = reader.header()
    checkpoint, witnesses = policy.check(Note.parse(header.checkpoint.encode()))
    if not 0 <= header.first <= header.past <= checkpoint.size:
        raise BundleInvalid("the period is not within the checkpoint")
    report = Report(header, checkpoint, tuple(key.name for key in witnesses))
    keys: dict[str, Mapping[str, Any]] = {}
    leaves: list[bytes] = []
    recorded_at = ""
    for line in reader.entries():
        content = line.content.encode() if line.content is not None else None
        leaf = leaf_hash(leaf_data(content)) if content is not None else _hash(line.leaf, line.index)
        if line.proof is not None:
            proof = [_hash(one, line.index) for one in line.proof]
            shown = partial(check_inclusion, leaf, line.index, checkpoint.size, proof, checkpoint.root)
            _at(line.index, shown)
        else:
            if line.index != header.first + len(leaves):
                raise BundleInvalid(f"is at the place of entry {header.first + len(leaves)}", line.index)
            leaves.append(leaf)
        if taken is not None:
            taken(line.index, leaf, content)
        if content is None:
            report.hidden += 1
            continue
        recorded_at = _read(report, keys, line.index, content, authorities, recorded_at, counted=line.proof is None)
    if len(leaves) != header.past - header.first:
        raise BundleInvalid(f"the file has {len(leaves)} entries, but the period has {header.past - header.first}")
    _check_root(header, checkpoint, leaves)
    if report.revoked:
        found = [one for _, one in report.revoked]
        replace(policy, revoked=[*policy.revoked, *found]).check(Note.parse(header.checkpoint.encode()))
    return report


def _read(
    report: Report,
    keys: dict[str, Mapping[str, Any]],
    index: int,
    content: bytes,
    authorities: Authorities,
    recorded_at: str,
    *,
    counted: bool,
) -> str:
    """Verify one entry by its own signatures; return the time at which the entries after it were recorded."""
    kind, stated = _at(index, lambda: kind_of(content))
    if kind == "statement":
        report.statements.append((index, recorded_at, _at(index, lambda: _statement(content, keys))))
    elif kind == "enrolment":
        _at(index, lambda: check_enrolment(stated, authorities))
        _shaped(index, stated, _Bound)
        keys[stated["key_id"]] = stated
        if counted:
            report.enrolments.append((index, stated))
    elif kind == "verdict":
        _shaped(index, stated, _Verdict)
        report.verdicts.append((index, stated))
    elif kind == "clock":
        return str(_shaped(index, stated, _Clock).recorded_at)
    else:
        if kind == "log-key":
            report.revoked += [(index, one) for one in _at(index, lambda: revoked_of(stated))]
        report.others[kind] = report.others.get(kind, 0) + 1
    return recorded_at


def check_enrolment(stated: Mapping[str, Any], authorities: Authorities) -> None:
    """Verify an enrolment: AWS's signature, and the key's signature over challenge and identity. Raises InputError."""
    try:
        evidence, instance = stated["evidence"], stated["instance"]
        identity = verify(evidence["identity"], authorities)
        public_key = public_key_from_wire(stated["public_key"])
        content = proof_content(
            audience=evidence["audience"],
            nonce=evidence["challenge"],
            identity=evidence["identity"],
            public_key=stated["public_key"],
        )
        holds = signature_holds(public_key, strict_base64.decode(evidence["proof"]), content)
        named = (instance["instance_id"], instance["account_id"], instance["region"], instance["document_digest"])
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BundleInvalid("the enrolment is malformed") from exc
    if not holds or key_id(public_key) != stated["key_id"]:
        raise BundleInvalid("the enrolled key did not sign the challenge")
    if named != (identity.instance_id, identity.account_id, identity.region, identity.digest):
        raise BundleInvalid("the enrolment names another instance than the identity document that AWS signed")


def _statement(content: bytes, keys: Mapping[str, Mapping[str, Any]]) -> Predicate:
    envelope = Envelope.parse(content)
    bound = next((keys[key] for key, _ in envelope.signatures if key in keys), None)
    if bound is None:
        raise BundleInvalid("the enrolment of its key is not in the bundle")
    predicate = Statement.from_wire(envelope.verify(public_key_from_wire(bound["public_key"]))).predicate
    if predicate.instance.instance_id != bound["instance"]["instance_id"]:
        raise BundleInvalid(f"its key is bound to {bound['instance']['instance_id']}, but it names another instance")
    return predicate


def _check_root(header: Header, checkpoint: Checkpoint, leaves: list[bytes]) -> None:
    known = {(one.height, one.number): _hash(one.hash, None) for one in header.outside}

    def root(low: int, high: int) -> bytes:
        count = high - low
        if high <= header.first or low >= header.past:
            height = count.bit_length() - 1
            if not count & (count - 1) and height <= _HEIGHT_MAX:
                try:
                    return known[height, low >> height]
                except KeyError:
                    raise BundleInvalid("a hash left or right of the period is missing") from None
        elif count == 1:
            return leaves[low - header.first]
        split = low + (1 << ((count - 1).bit_length() - 1))
        return node_hash(root(low, split), root(split, high))

    if checkpoint.size and root(0, checkpoint.size) != checkpoint.root:
        raise BundleInvalid("the root of the entries is not the checkpoint's: an entry was changed, removed or moved")


class _Reader:
    """Reads the lines strictly: header, entries, end line, and nothing after it."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def header(self) -> Header:
        try:
            return _HEADERS.decode(next(self._lines, b""))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise BundleInvalid("the first line is not a bundle's header") from exc

    def entries(self) -> Iterator[Line]:
        for count, line in enumerate(self._lines):
            if len(line) > LINE_BYTES_MAX:
                raise BundleInvalid(f"line {count + 2} is too long")
            try:
                found = _LINES.decode(line) if not line.startswith(b'{"type"') else _ENDS.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
                raise BundleInvalid(f"line {count + 2} is not an entry") from exc
            if isinstance(found, End):
                if found.entries != count or next(self._lines, None) is not None:
                    raise BundleInvalid("the end line states another number of entries, or lines follow it")
                return
            yield found
        raise BundleInvalid("the end line is missing: the file was truncated; fetch the bundle again")


_HEADERS = msgspec.json.Decoder(Header)
_LINES = msgspec.json.Decoder(Line)
_ENDS = msgspec.json.Decoder(End)


def _at(index: int, work: Any) -> Any:
    """Call `work`; an InputError is raised again as one that names the entry."""
    try:
        return work()
    except InputError as exc:
        raise BundleInvalid(exc.message, index) from exc


def _shaped(index: int, stated: Mapping[str, Any], shape: type[S]) -> S:
    """Convert an event to its type. Raises BundleInvalid."""
    try:
        return msgspec.convert(stated, shape)
    except msgspec.ValidationError as exc:
        raise BundleInvalid(f"the entry is malformed: {exc}", index) from exc


def _hash(text: str | None, index: int | None) -> bytes:
    try:
        content = strict_base64.decode(text or "")
    except ValueError:
        content = b""
    if len(content) != 32:
        raise BundleInvalid("a hash is malformed", index)
    return content
