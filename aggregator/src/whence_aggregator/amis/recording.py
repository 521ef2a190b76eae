"""Records statements about AMIs, and the AMIs that they are about: each once, however often it is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whence_aggregator.amis.rows import known_index, known_name, named_amis
from whence_aggregator.amis.submission import NamedAmi, SubmittedAmi
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Forbidden, NotFound
from whence_aggregator.projections.ami_statements import AMI_STATEMENT, ami_statement_writes
from whence_aggregator.queries.amis import AMI_STATEMENT_OF, AMI_STATEMENTS_NAMED, AMIS_NAMED_BY
from whence_aggregator.queries.query import EVERY_ENTRY, array, together
from whence_aggregator.trace.ami_rows import named_statements
from whence_aggregator.trace.ami_statement import AmiStatement
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAmi:
    """The entry of a statement, and what other statements the same AMIs have: they contradict it."""

    digest: str
    index: int
    is_new: bool
    amis: list[NamedAmi]
    contradicts: list[tuple[NamedAmi, str]]

    def to_wire(self) -> dict[str, object]:
        return {
            "digest": self.digest,
            "index": self.index,
            "new": self.is_new,
            "amis": self.amis,
            "contradicts": [
                {"region": ami.region, "image_id": ami.image_id, "digest": digest} for ami, digest in self.contradicts
            ],
        }


class AmiRecording:
    """Appends to the ledger."""

    def __init__(self, *, ledger: Ledger, now: Now) -> None:
        self._ledger = ledger
        self._now = now

    async def record(self, submitted: SubmittedAmi, *, recorded_by: str, allowed: Callable[[str], bool]) -> RecordedAmi:
        """Record what is new durably. Raises NotFound for the digest of a statement that is not recorded.

        `allowed`: whether the caller may record a statement about an AMI of a name. Raises Forbidden for another one,
        and if an AMI has a statement about another one, which would be contradicted. A second statement about an AMI is
        recorded too: both are shown, and neither is confirmed.
        """
        ids = sorted({one.image_id for one in submitted.amis})
        async with self._ledger.writing() as writing:
            statement_rows, named_rows, other_rows = await writing.transaction.fetch_all(
                together(
                    AMI_STATEMENT_OF.bind({"digest": submitted.digest}),
                    AMIS_NAMED_BY.bind({"digest": submitted.digest}),
                    AMI_STATEMENTS_NAMED.bind({"image_ids": array(ids), "past": EVERY_ENTRY}),
                )
            )
            index, named = known_index(statement_rows), named_amis(named_rows)
            others = [
                one
                for one in named_statements(other_rows)
                if one.digest != submitted.digest and NamedAmi(one.region, one.image_id) in submitted.amis
            ]
            contradicts = [(NamedAmi(region=one.region, image_id=one.image_id), one.digest) for one in others]
            if index is None and submitted.envelope is None:
                raise NotFound(
                    "ami-statement-unknown", f"statement not found: {submitted.digest}", fix="send the statement itself"
                )
            name = submitted.provenance.name if submitted.provenance is not None else known_name(statement_rows)
            _check_allowed(name, others, recorded_by=recorded_by, allowed=allowed)
            added = [one for one in submitted.amis if one not in named]
            is_new = index is None or bool(added)
            if is_new:
                stated = self._event(submitted, added, with_envelope=index is None, recorded_by=recorded_by)
                entry = NewEntry(kind=AMI_STATEMENT, content=event(AMI_STATEMENT, stated))
                ((appended, _),) = await writing.append([entry])
                await writing.transaction.execute(*ami_statement_writes(appended, stated, submitted.provenance))
                index = appended if index is None else index
        assert index is not None
        return RecordedAmi(
            digest=submitted.digest, index=index, is_new=is_new, amis=sorted([*named, *added]), contradicts=contradicts
        )

    def _event(
        self, submitted: SubmittedAmi, added: list[NamedAmi], *, with_envelope: bool, recorded_by: str
    ) -> dict[str, object]:
        return {
            "digest": submitted.digest,
            "envelope": submitted.envelope if with_envelope else None,
            "key_id": submitted.key_id if with_envelope else "",
            "amis": [{"region": one.region, "image_id": one.image_id} for one in added],
            "recorded_by": recorded_by,
            "recorded_at": to_instant(self._now()),
        }


def _check_allowed(
    name: str, others: Sequence[AmiStatement], *, recorded_by: str, allowed: Callable[[str], bool]
) -> None:
    """Raise Forbidden if a caller may not record the statement about an AMI of a name, or contradict another one's."""
    if not allowed(name):
        raise Forbidden(
            "ami-name-forbidden", f"{recorded_by} may not record statements about the AMI {name}",
            fix="add the name to amis of its rule in sign_in.workloads, or use a token with the right amis",
        )  # fmt: skip
    for one in others:
        if not allowed(one.name):
            place = f"{one.image_id} in {one.region}"
            raise Forbidden(
                "ami-of-others", f"{place} has a statement about {one.name}, which {recorded_by} may not contradict",
                fix="name the AMI that the build has registered",
            )  # fmt: skip
