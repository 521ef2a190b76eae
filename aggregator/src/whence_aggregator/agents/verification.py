"""Verification of statements: the most expensive step of ingest, which needs only the bytes, the key and the base.

So it runs in a separate process (adapters/verifiers.py), or in this one on a single core.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Protocol, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.ledger.packing import Packer, to_layout
from whence_aggregator.ports import Forbidden
from whence_aggregator.projections.stated import Stated, image_commits
from whence_common.digest import is_sha256_digest
from whence_common.envelope import ENVELOPE_BYTES_MAX, Envelope, EnvelopeInvalid
from whence_common.errors import InputError
from whence_common.image_reference import image_subject, tag_reference
from whence_common.keys import is_key_id, public_key_from_wire
from whence_common.ledger_entry import kind_of, leaf_data
from whence_common.runtime.logs import fields
from whence_common.statement import Predicate, Statement, StatementInvalid
from whence_common.storable import check_json

log = logging.getLogger(__name__)

_SIGNATURES_MAX = 8
_QUESTIONS_MAX = 32
"""An image has few sources; a statement with thousands would only fill the queue."""


class Submitted(msgspec.Struct, frozen=True, array_like=True):
    """An envelope's bytes, and the binding of the key that it names. `base`: the layout to pack it against."""

    content: bytes
    public_key: str
    instance_id: str
    account_id: str
    region: str
    base: bytes | None = None


class VerifiedStatement(msgspec.Struct, frozen=True, array_like=True):
    """A statement with a valid signature by a key of its instance, ready to be appended."""

    digest: bytes
    leaf: bytes
    layout: bytes
    """Empty when there is a delta."""
    delta: bytes | None
    """The layout packed against the base; None without a base, or when they differ too much."""
    stated: Stated
    questions: list[tuple[str, str]]
    """The questions for collectors that follow from it: (kind, subject)."""


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """Why a statement is refused."""

    kind: str
    code: str
    message: str
    fix: str

    def error(self) -> InputError:
        return _KINDS.get(self.kind, InputError)(self.code, self.message, fix=self.fix)


class Verifier(Protocol):
    async def verify(self, submitted: Sequence[Submitted]) -> Sequence[VerifiedStatement | Refusal]:
        """Return for each statement its verified content, or why it is refused. Raises RoadError."""


class InThisProcess:
    """Verifies in the calling process."""

    async def verify(self, submitted: Sequence[Submitted]) -> Sequence[VerifiedStatement | Refusal]:
        return check(submitted)


def check(submitted: Sequence[Submitted]) -> list[VerifiedStatement | Refusal]:
    """Return the verified statements or refusals. A statement that causes a bug is refused alone.

    Each step is done for all statements before the next one: verifying signatures and packing both fill the processor's
    caches, so a step takes a fifth less time among its like.
    """
    found: dict[int, VerifiedStatement | Refusal] = {}
    steps = [_check(one) for one in submitted]
    while len(found) < len(steps):
        for place, one in enumerate(steps):
            if place not in found and (result := _stepped(one, submitted[place])) is not None:
                found[place] = result
    return [found[place] for place in range(len(steps))]


def _stepped(
    steps: Generator[None, None, VerifiedStatement], submitted: Submitted
) -> VerifiedStatement | Refusal | None:
    """Do the next step; return the result, or None when steps are left."""
    try:
        next(steps)
    except StopIteration as end:
        return cast(VerifiedStatement, end.value)
    except InputError as exc:
        return Refusal(type(exc).__name__, exc.code, exc.message, exc.fix)
    except Exception:
        log.exception("a bug prevented the verification of a statement", extra=fields(instance=submitted.instance_id))
        return Refusal("", "internal-error", "the aggregator failed; see its log", "")
    return None


def _check(submitted: Submitted) -> Generator[None, None, VerifiedStatement]:
    """Return one statement, verified; yields to the others after each step."""
    content = submitted.content
    envelope = Envelope.parse(content)
    if not envelope.exact:
        kind_of(content)  # members that were skipped must be valid JSON too, for readers of the log
    yield
    payload = envelope.verify(_public_key(submitted.public_key))
    yield
    predicate = Statement.from_wire(payload).predicate
    check_json(payload, "the statement")
    instance = predicate.instance
    bound = (submitted.instance_id, submitted.account_id, submitted.region)
    if (instance.instance_id, instance.account_id, instance.region) != bound:
        raise Forbidden("statement-of-other", "the statement is about another instance than its key is bound to")
    if predicate.image is not None and not predicate.image.source_names_repository:
        raise StatementInvalid("image-source-of-other", "the image's source does not name the image's repository")
    if predicate.image is not None and not is_sha256_digest(predicate.image.index_digest or predicate.image.digest):
        raise StatementInvalid("statement-malformed", "the digest of the image's index is malformed")
    digest, leaf = sha256(content).digest(), sha256(b"\x00" + leaf_data(content)).digest()
    stated, questions = Stated.of(predicate), questions_of(predicate)
    yield
    layout = to_layout(content)
    delta = _PACKER.delta(layout, submitted.base) if submitted.base is not None else None
    return VerifiedStatement(digest, leaf, layout if delta is None else b"", delta, stated, questions)


def key_ids(content: bytes) -> list[str]:
    """Return the well-formed key ids in an envelope's signatures, and parse nothing else. Raises EnvelopeInvalid."""
    if len(content) > ENVELOPE_BYTES_MAX:
        raise EnvelopeInvalid("envelope-too-large", f"the envelope is larger than {ENVELOPE_BYTES_MAX} bytes")
    try:
        signatures = _PEEK.decode(content).signatures
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise EnvelopeInvalid("envelope-malformed", "the body is not a DSSE envelope") from exc
    return [one.keyid for one in signatures[:_SIGNATURES_MAX] if is_key_id(one.keyid)]


def questions_of(predicate: Predicate) -> list[tuple[str, str]]:
    """Return the questions for collectors that follow from a statement: (kind, subject)."""
    questions = [("commit", f"{repository}@{commit}") for commit, _, repository in image_commits(predicate)]
    image = predicate.image
    if image is not None:
        questions.append(("image-source", image_subject(image.repository, image.digest, image.index_digest)))
        reference = tag_reference(image.source)
        if reference is not None:
            questions.append(("tag", reference))
    return questions[-_QUESTIONS_MAX:]


class _Named(msgspec.Struct):
    keyid: str = ""


class _Signed(msgspec.Struct):
    signatures: list[_Named]


_PACKER = Packer()
_PEEK = msgspec.json.Decoder(_Signed)
_KINDS: dict[str, type[InputError]] = {
    kind.__name__: kind for kind in (EnvelopeInvalid, StatementInvalid, Forbidden, InputError)
}


@lru_cache(maxsize=20_000)
def _public_key(wire: str) -> ec.EllipticCurvePublicKey:
    return public_key_from_wire(wire)
