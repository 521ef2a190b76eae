"""Whether a commit proves who wrote it: only by a good signature of its own committer, who is its author."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.facts import FOUND, answer
from whence_aggregator.trace.commit_details import signature_members, unproved_author
from whence_aggregator.trace.facts import NOT_ASKED, Answer

COMMIT = Answer(outcome="found", value={
    **FOUND.value, "commit": "c" * 40, "author_mail": "ada@example.org", "committer_mail": "ada@example.org",
    "signature_form": "ssh",
})  # fmt: skip


def commit(**changes: Any) -> Answer:
    return Answer(outcome="found", value={**COMMIT.value, **changes})


def signed(state: str = "good", signer: str = "ada@example.org", **more: Any) -> Answer:
    return answer("found", state=state, form="ssh", signer=signer, key="k", **more)


def test_the_signature_of_the_author_proves_who_wrote_a_commit() -> None:
    assert unproved_author(COMMIT, signed()) == ""
    assert unproved_author(COMMIT, signed(signer="Ada <Ada@example.org>")) == ""


@pytest.mark.parametrize(
    ("found", "signature", "why"),
    [
        (commit(signature_form="none"), NOT_ASKED, "it is not signed"),
        (COMMIT, NOT_ASKED, "its signature is unknown"),
        (COMMIT, signed("bad"), "its signature is bad"),
        (COMMIT, signed("unknown key", ""), "its signature is unknown key"),
        (COMMIT, signed(signer="mallory@example.org"), "mallory@example.org signed it, who is not its committer"),
        (COMMIT, signed(signer="*@example.org"), "*@example.org signed it, who is not its committer"),
        (commit(committer_mail="mallory@example.org"), signed(signer="mallory@example.org"),
         "its committer signed it and names another author"),
        (commit(committer_mail="", author_mail=""), signed(), "ada@example.org signed it, who is not its committer"),
        (commit(committer_mail="noreply@github.com"), signed(signer="GitHub <noreply@github.com>"),
         "its code host signed it, for whoever committed in its pages"),
        (commit(committer_mail="bot@git.example.org"), signed(signer="bot@git.example.org", by_host=True),
         "its code host signed it, for whoever committed in its pages"),
        (FOUND, NOT_ASKED, "its signature is unknown"),
    ],
)  # fmt: skip
def test_an_author_is_not_proved_otherwise_and_the_reason_states_what_to_do(
    found: Answer, signature: Answer, why: str
) -> None:
    reason = unproved_author(found, signature)
    assert f": {why}; have authors sign commits with keys in `commit_trust`, or with keys that the code host" in reason


@pytest.mark.parametrize(
    ("signature", "shown"),
    [(signed(), ("person", True)), (signed(signer="eve@example.org"), ("person", False)),
     (signed(by_host=True), ("host", False))],
)  # fmt: skip
def test_a_signature_of_the_host_is_never_the_committers_own(signature: Answer, shown: tuple[str, bool]) -> None:
    members = signature_members(COMMIT, signature)
    assert members is not None
    assert (members["signer_class"], members["signer_is_committer"]) == shown
