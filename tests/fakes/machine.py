"""A machine that speaks: a key, an identity document, and statements about whatever a test says runs there."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from fakes.signing_authority import SigningAuthority, identity_document, launched_now
from whence_aggregator.agents.enrolment import EnrolmentRequest
from whence_common.enrolment_proof import proof_content
from whence_common.envelope import seal
from whence_common.keys import public_key_to_wire, sign
from whence_common.statement import (
    ApplicationFacts,
    ContainerFacts,
    ImageFacts,
    InstanceFacts,
    Predicate,
    ScmSourceFacts,
    Statement,
    UserDataFacts,
)

DIGEST = "sha256:" + "d" * 64
COMMIT = "c" * 40
REPOSITORY = "registry.example.org/demo/greeter"


class Machine:
    """One instance. `statement` makes the next envelope; keyword arguments change the predicate."""

    def __init__(self, authority: SigningAuthority, instance_id: str = "i-0123456789abcdef0", **document: str) -> None:
        self.authority = authority
        self.instance_id = instance_id
        self.account_id = document.get("accountId", "123456789012")
        self._stated = document
        self.document = identity_document(instance_id, **document)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.sequence = 0

    def launch_now(self) -> None:
        """Have the document say that the instance was launched just now, for aggregators that look at the real clock."""
        if "pendingTime" not in self._stated:
            self.document = launched_now(self.instance_id, **self._stated)

    def request(self, nonce: str, audience: str) -> EnrolmentRequest:
        """Answer a challenge."""
        identity = self.authority.sign(self.document)
        public_key = public_key_to_wire(self.key.public_key())
        content = proof_content(audience=audience, nonce=nonce, identity=identity, public_key=public_key)
        proof = base64.b64encode(sign(self.key, content)).decode()
        return EnrolmentRequest(identity=identity, public_key=public_key, challenge=nonce, proof=proof)

    def statement(self, **changes: Any) -> bytes:
        """Seal the next statement."""
        self.sequence += 1
        return seal(self.key, Statement.of(self.predicate(**changes)).to_wire())

    def predicate(self, **changes: Any) -> Predicate:
        image = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=DIGEST)
        values: dict[str, Any] = {
            "instance": InstanceFacts(
                account_id=self.account_id, region="eu-central-1", instance_id=self.instance_id, image_id="ami-12c6146b"
            ),
            "boot_id": "b",
            "sequence": self.sequence,
            "cause": "boot",
            "observed_at": "2026-11-22T12:00:00.000Z",
            "agent_version": "0.1.0",
            "heartbeats": 1,
            "user_data": UserDataFacts(digest="sha256:" + "a" * 64, document={"application_id": "greeter"}),
            "application": ApplicationFacts(id="greeter", version="1.0"),
            "image": image,
            "containers": [ContainerFacts(name="taupageapp", container_id="1", image_digest=DIGEST, state="running")],
            "scm_source": scm(),
            **changes,
        }
        return Predicate(**values)


def scm(**changes: str) -> ScmSourceFacts:
    """Say what the agent read out of the image."""
    document = {
        "url": "git:https://git.example.org/demo/greeter.git",
        "revision": COMMIT,
        "author": "ada",
        "status": "",
        "digest": "sha256:" + "5" * 64,
        **changes,
    }
    return ScmSourceFacts(status="found", document=document)


SIDECAR = ContainerFacts(
    name="taupageapp-proxy", container_id="2", image_digest="sha256:" + "5" * 64, declared_digest="sha256:" + "5" * 64,
    state="running",
)  # fmt: skip
FAILED: dict[str, Any] = {
    "cause": "failed",
    "image": None,
    "scm_source": None,
    "containers": [],
    "problems": [
        {
            "severity": "error",
            "code": "image-tag-mutable",
            "line": 5,
            "column": 9,
            "message": "it moves",
            "fix": "pin it",
        }
    ],
}
"""The changes that make a statement one of a boot that failed at its user data."""
