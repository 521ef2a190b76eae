"""A made-up organisation of any size: which account, application, image and commit each of its instances has."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from whence_common.clock import from_millis
from whence_common.envelope import seal
from whence_common.keys import key_id, public_key_to_wire
from whence_common.ledger_entry import event
from whence_common.statement import (
    ApplicationFacts,
    ContainerFacts,
    CredentialFacts,
    ImageFacts,
    InstanceFacts,
    Predicate,
    ScmSourceFacts,
    StageFacts,
    Statement,
    UserDataFacts,
)

BEGIN_MILLIS = 1_793_000_000_000
INSTANCES_AN_IMAGE = 50
INSTANCES_AN_APPLICATION = 500
ACCOUNTS = 40
_REGIONS = ("eu-central-1", "eu-west-1", "us-east-1")
_STAGES = ("identity", "user-data", "enrol", "image", "credentials", "secrets", "storage", "pull", "run", "health")


def hexed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def account_of(number: int) -> str:
    return f"{100_000_000_000 + number // INSTANCES_AN_APPLICATION % ACCOUNTS * 7919:012d}"


def application_of(number: int) -> str:
    return f"app-{number // INSTANCES_AN_APPLICATION}"


def image_of(number: int) -> str:
    return "sha256:" + hexed(f"image{number // INSTANCES_AN_IMAGE}")


def commit_of(number: int) -> str:
    return hexed(f"commit{number // INSTANCES_AN_IMAGE}")[:40]


def name_of(number: int) -> str:
    return f"i-{hexed(f'instance{number}')[:17]}"


@dataclass
class Sampled:
    """One instance with a key of its own, or one that is shared where signing is not what is measured."""

    number: int
    key: ec.EllipticCurvePrivateKey
    sequence: int = 0
    container: str = ""

    @property
    def instance_id(self) -> str:
        return name_of(self.number)

    def enrolment(self, *, identity: str) -> dict[str, Any]:
        """Give what an enrolment's entry says; `identity` is a blob of the right size."""
        return {
            "instance": {
                "account_id": account_of(self.number), "architecture": "x86_64", "availability_zone": "eu-central-1a",
                "document_digest": "sha256:" + hexed(f"doc{self.number}"), "image_id": "ami-" + hexed("ami")[:17],
                "instance_id": self.instance_id, "instance_type": "m6i.large", "pending_time": from_millis(BEGIN_MILLIS),
                "private_ip": "10.0.0.7", "region": _REGIONS[self.number % 3],
            },
            "number": 1, "key_id": key_id(self.key.public_key()), "public_key": public_key_to_wire(self.key.public_key()),
            "level": "document+sts", "enrolled_at": from_millis(BEGIN_MILLIS),
            "evidence": {"identity": identity, "challenge": hexed(f"n{self.number}")[:44],
                         "audience": "https://whence.example.org", "proof": base64.b64encode(os.urandom(71)).decode()},
            "sts": {"arn": f"arn:aws:sts::{account_of(self.number)}:assumed-role/aws:ec2-instance/{self.instance_id}",
                    "host": "sts.eu-central-1.amazonaws.com", "checked_at": from_millis(BEGIN_MILLIS)},
        }  # fmt: skip

    def predicate(self) -> Predicate:
        """The next thing it states: a boot, then changes; now and then its container is another one."""
        self.sequence += 1
        if self.sequence % 5 == 1:
            self.container = os.urandom(32).hex()
        number, digest = self.number, image_of(self.number)
        document = {
            "application_id": application_of(number), "application_version": "1.4", "runtime": "Docker", "root": False,
            "source": f"registry.example.org/team/{application_of(number)}:1.4", "ports": {"8080": 8080},
            "health_check_path": "/health", "environment": {"STAGE": "production", "LOG_LEVEL": "INFO", "JAVA_OPTS": "-Xmx2g"},
            "mint_bucket": f"stups-mint-{account_of(number)}-eu-central-1", "notify_cfn": {"stack": "app-1", "resource": "AppServer"},
        }  # fmt: skip
        started = from_millis(BEGIN_MILLIS + self.sequence // 5 * 60_000 + number % 60_000)
        return Predicate(
            instance=InstanceFacts(
                account_id=account_of(number), region=_REGIONS[number % 3], instance_id=self.instance_id,
                image_id="ami-" + hexed("ami")[:17], instance_type="m6i.large", availability_zone="eu-central-1a",
                architecture="x86_64", pending_time=from_millis(BEGIN_MILLIS),
            ),
            boot_id=f"{hexed(f'boot{number}')[:32]}", sequence=self.sequence,
            cause="boot" if self.sequence == 1 else "change",
            observed_at=from_millis(BEGIN_MILLIS + self.sequence * 60_000 + number % 60_000), agent_version="0.1.0",
            user_data=UserDataFacts(digest="sha256:" + hexed(f"ud{number // 100}"), document=document),
            application=ApplicationFacts(id=application_of(number), version="1.4"),
            image=ImageFacts(source=document["source"], repository=f"registry.example.org/team/{application_of(number)}", digest=digest),  # type: ignore[arg-type]  # a text
            containers=[ContainerFacts(name="taupageapp", container_id=self.container, image_digest=digest,
                                       state="running", started_at=started, health="healthy")],
            scm_source=ScmSourceFacts(status="found", document={
                "url": f"git:https://git.example.org/team/{application_of(number)}.git", "revision": commit_of(number),
                "author": "ada", "status": "", "digest": "sha256:" + hexed(f"scm{number // INSTANCES_AN_IMAGE}")}),
            credentials=CredentialFacts(generation=self.sequence, state="fresh", fetched_at=started),
            stages=[StageFacts(name=name, outcome="done", seconds=round((number % 97) / 37 + place, 3))
                    for place, name in enumerate(_STAGES)],
        )  # fmt: skip

    def statement(self) -> bytes:
        """Seal the next statement."""
        return seal(self.key, Statement.of(self.predicate()).to_wire())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def enrolment_entry(stated: dict[str, Any]) -> bytes:
    return event("enrolment", stated)
