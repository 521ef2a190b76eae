"""The front's part that gives instances their tokens, in this process; and an STS that knows who signed what."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping

from fakes.in_process import LIMITLESS, SECRET, InProcess, limits_of
from fakes.machine import Machine
from whence_aggregator.agents.challenges import Challenges
from whence_aggregator.agents.enrolment import Enrolments
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.ports import CallerIdentity, Database, SourceUnavailable
from whence_aggregator.registry.access import Access, Principal
from whence_aggregator.registry.identity_documents import IdentityDocuments
from whence_aggregator.registry.instances import Instances
from whence_aggregator.registry.pull_rule import EveryTeam, PullRule
from whence_aggregator.registry.pull_tokens import PullTokenIssuer, PullTokenRequest
from whence_common.identity_document import Authorities
from whence_common.keys import key_id, public_key_to_wire, sign
from whence_common.pull_proof import pull_proof_content, registry_audience
from whence_common.sts_proof import StsProof, headers_to_sign

FRONT = "pierone.example.org"
UNLISTED_SECONDS_MAX = 86_400.0


class FakeSts:
    """Answers who signed a request; the session token says which instance, the signature over which headers."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    def prove(self, machine: Machine, challenge: str, *, audience: str = registry_audience(FRONT)) -> StsProof:
        signed = headers_to_sign(challenge=challenge, audience=audience, key_id=key_id(machine.key.public_key()))
        return StsProof(
            region="eu-central-1", access_key="ASIA" + "A" * 16, session_token=machine.instance_id,
            date="20261122T120000Z", signature=_digest(signed),
        )  # fmt: skip

    async def caller(self, proof: StsProof, signed: Mapping[str, str]) -> tuple[str, str, str]:
        self.asked += 1
        if self.away:
            raise SourceUnavailable("sts-unreachable", "STS cannot be reached")
        role = "aws:ec2-instance" if _digest(signed) == proof.signature else "somebody"
        arn = f"arn:aws:sts::123456789012:assumed-role/{role}/{proof.session_token}"
        return "123456789012", arn, "sts.eu-central-1.amazonaws.com"


def _digest(signed: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(signed), sort_keys=True).encode()).hexdigest()


class Pulls:
    """A front over the database of a house. Every replica that is made so shares the secret."""

    def __init__(
        self,
        house: InProcess,
        *,
        name: str = FRONT,
        database: Database | None = None,
        accounts: frozenset[str] = frozenset({"123456789012"}),
        caller_identity: CallerIdentity | None = None,
        document_seconds_max: float | None = None,
        pull_rule: PullRule | None = None,
    ) -> None:
        self.audience = registry_audience(name)
        authorities = Authorities.from_pem({"eu-central-1": house.authority.pem})
        stored = database or house.database
        challenges = Challenges(
            database=stored, secret=SECRET, audience=self.audience, now=house.clock, random_bytes=secrets.token_bytes
        )
        instances = Instances(database=stored, accounts=accounts, now=house.clock)
        self.access = Access(
            sign_in=Authenticator(
                known={}, sources=NOBODY, sessions=None, attempts=Limit("address", LIMITLESS), now=house.clock
            ),
            membership=Membership(None),
            documents=IdentityDocuments(
                authorities=authorities, accounts=accounts, seconds_max=document_seconds_max, now=house.clock
            )
            if document_seconds_max is not None
            else None,
            instances=instances,
            pull_rule=pull_rule or EveryTeam(),
            public_read=False,
            open_teams=frozenset(),
            seal=Seal(SECRET, purpose="token", random_bytes=secrets.token_bytes),
            now=house.clock,
        )
        self.enrolments = Enrolments(
            database=stored,
            ledger=house.ledger,
            challenges=challenges,
            authorities=authorities,
            accounts=accounts,
            audience=self.audience,
            heartbeat_secret=SECRET,
            caller_identity=caller_identity,
            sts_required=False,
            document_seconds_max=3600.0,
            limits=limits_of(LIMITLESS),
            now=house.clock,
        )
        self.tokens = PullTokenIssuer(
            challenges=challenges,
            instances=instances,
            access=self.access,
            caller_identity=caller_identity,
            audience=self.audience,
            unlisted_seconds_max=UNLISTED_SECONDS_MAX,
            limit=Limit("instance", LIMITLESS),
            now=house.clock,
        )

    def nonce(self) -> str:
        return str(self.enrolments.challenge()["challenge"])

    async def enrol(self, machine: Machine, *, sts: FakeSts | None = None) -> dict[str, object]:
        nonce = self.nonce()
        request = machine.request(nonce, self.audience)
        proof = sts.prove(machine, nonce, audience=self.audience) if sts is not None else None
        return await self.enrolments.enrol(
            type(request)(**{**{name: getattr(request, name) for name in request.__struct_fields__}, "sts": proof})
        )

    async def token(self, machine: Machine, repository: str = "alpha/app") -> str:
        given = await self.tokens.token(pull_request(machine, self.nonce(), self.audience, repository))
        return str(given["token"])

    async def principal(self, token: str) -> Principal:
        return await self.access.authenticate(f"Bearer {token}")


def pull_request(
    machine: Machine, nonce: str, audience: str, repository: str = "alpha/app", *, sts: StsProof | None = None
) -> PullTokenRequest:
    """Ask for a token as an agent does."""
    public_key = public_key_to_wire(machine.key.public_key())
    content = pull_proof_content(
        audience=audience, nonce=nonce, instance_id=machine.instance_id, repository=repository, public_key=public_key
    )
    proof = base64.b64encode(sign(machine.key, content)).decode()
    return PullTokenRequest(
        instance_id=machine.instance_id,
        public_key=public_key,
        challenge=nonce,
        proof=proof,
        repository=repository,
        sts=sts,
    )
