"""A statement about an image that no instance runs, as if one did that is in no account. Pure."""

from __future__ import annotations

from whence_aggregator.trace.stored_statement import Binding, StoredStatement
from whence_common.digest import sha256_digest
from whence_common.statement import ApplicationFacts, ImageFacts, InstanceFacts, Predicate, UserDataFacts

NOBODY = "i-00000000"
"""In place of an instance: no instance has this id."""


def imagined_statement(
    image: ImageFacts, application: ApplicationFacts, *, now: str
) -> tuple[StoredStatement, Binding]:
    """Return what the agent of such an instance would state, and the binding of its key."""
    predicate = Predicate(
        instance=InstanceFacts(account_id="", region="", instance_id=NOBODY), boot_id="", sequence=0, cause="boot",
        observed_at=now, agent_version="", application=application, image=image,
        user_data=UserDataFacts(
            digest=sha256_digest(b""), document={"application_id": application.id, "source": image.source}
        ),
    )  # fmt: skip
    statement = StoredStatement(
        digest="", ledger_index=-1, instance_id=NOBODY, observed_at=now, recorded_at=now, enrolment=0,
        predicate=predicate,
    )  # fmt: skip
    nobody = {"account_id": "", "region": "", "instance_id": NOBODY, "instance_type": "", "image_id": ""}
    return statement, Binding(number=0, level="", enrolled_at=now, ledger_index=-1, identity=nobody)
