"""Nobody is kept from enrolling by what others send: not a machine by those who have its document, nor a fleet by one of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from fakes.clocks import FakeClock
from fakes.in_process import AUDIENCE, LIMITLESS, InProcess, limits_of
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.ports import Database, SourceUnavailable
from whence_common.errors import WhenceError
from whence_common.sts_proof import StsProof, StsProofInvalid

VICTIM, ACCOUNT = "i-0123456789abcdef0", "123456789012"
OWN, ELSEWHERE, SHARED = "10.0.0.1", "10.0.0.66", "10.0.0.254"


class Sts:
    """Knows whose session tokens are whose; `away` makes it fail."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def caller(self, proof: StsProof, signed: Mapping[str, str]) -> tuple[str, str, str]:
        self.asked += 1
        if self.away:
            raise SourceUnavailable("sts-unreachable", "STS is away")
        if proof.session_token == "stolen":
            raise StsProofInvalid("sts-refused", "STS does not accept the signature (HTTP 403)")
        return ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/aws:ec2-instance/{proof.session_token}", "sts.example.org"


class Fleet:
    """An aggregator whose clocks stand still, with limits of three, that binds keys only by the fresh proof."""

    def __init__(
        self, database: Database, authority: SigningAuthority, *, required: bool = True, account: Limit | None = None
    ) -> None:
        self.sts, self.clock = Sts(), FakeClock()
        self.limits = replace(
            limits_of(Rate(per_second=0.001, burst=3.0)),
            account=account if account is not None else Limit("account", LIMITLESS),
        )
        self.house = InProcess(
            database, authority, clock=self.clock, caller_identity=self.sts, sts_required=required, limits=self.limits
        )

    async def enrol(self, machine: Machine, token: str | None, address: str, **changes: str) -> str:
        """Send an enrolment; return what was proved, or the refusal's code. `token` is that of the session."""
        request = machine.request(await self.house.nonce(), AUDIENCE)
        if token is not None:
            date = self.clock().strftime("%Y%m%dT%H%M%SZ")
            proof = StsProof(
                region="eu-central-1", access_key="ASIA" + "A" * 16, session_token=token, date=date, signature="0" * 64
            )
            changes = {**changes, "sts": proof}  # type: ignore[dict-item]  # the one that is not a text
        try:
            answer = await self.house.enrolments.enrol(msgspec.structs.replace(request, **changes), address=address)
        except WhenceError as exc:
            return exc.code
        return str(answer["level"])


@pytest.fixture
def fleet(database: Database, authority: SigningAuthority) -> Fleet:
    return Fleet(database, authority)


def victim(fleet: Fleet) -> Machine:
    return Machine(fleet.house.authority, VICTIM)


async def test_bad_proofs_with_a_victims_document_lock_the_victim_out_of_nothing(fleet: Fleet) -> None:
    machine = victim(fleet)
    for _ in range(20):
        assert await fleet.enrol(machine, VICTIM, SHARED, proof="AAAA") == "proof-invalid"
    assert await fleet.enrol(machine, VICTIM, SHARED) == "document+sts"


async def test_another_senders_keys_with_a_victims_document_do_not_lock_out_the_victim(fleet: Fleet) -> None:
    codes = [await fleet.enrol(victim(fleet), "stolen", ELSEWHERE) for _ in range(20)]
    assert codes == ["sts-refused"] * 3 + ["rate-limited"] * 17
    assert fleet.sts.asked == 3, "STS is not asked for ever for one who proves nothing"
    assert await fleet.enrol(victim(fleet), VICTIM, OWN) == "document+sts"


async def test_a_key_that_is_bound_is_let_in_whatever_others_do_behind_the_same_address(fleet: Fleet) -> None:
    machine = victim(fleet)
    assert await fleet.enrol(machine, VICTIM, SHARED) == "document+sts"
    for _ in range(20):
        await fleet.enrol(victim(fleet), "stolen", SHARED)
    assert await fleet.enrol(machine, VICTIM, SHARED) == "document+sts"


async def test_one_instance_behind_a_shared_address_does_not_lock_out_the_others(fleet: Fleet) -> None:
    for _ in range(20):
        await fleet.enrol(victim(fleet), "stolen", SHARED)
    for number in range(1, 10):
        name = f"i-{number:017x}"
        assert await fleet.enrol(Machine(fleet.house.authority, name), name, SHARED) == "document+sts"


async def test_the_fleet_enrols_at_once_behind_one_address(fleet: Fleet, authority: SigningAuthority) -> None:
    names = [f"i-{number:017x}" for number in range(40)]
    answers = await asyncio.gather(*(fleet.enrol(Machine(authority, name), name, SHARED) for name in names))
    assert set(answers) == {"document+sts"}


async def test_an_account_has_a_limit_of_its_own(database: Database, authority: SigningAuthority) -> None:
    fleet = Fleet(database, authority, account=Limit("account", Rate(per_second=0.001, burst=3.0), lambda: 0.0))
    names = [f"i-{number:017x}" for number in range(6)]
    answers = [await fleet.enrol(Machine(authority, name), name, SHARED) for name in names]
    assert answers == ["document+sts"] * 3 + ["rate-limited"] * 3
    assert all(fleet.limits.instance_attempts.took(name) for name in names), "it is not a failed attempt"


async def test_what_is_proved_counts_against_the_instance_alone(fleet: Fleet) -> None:
    codes = []
    for _ in range(5):
        machine = victim(fleet)
        codes.append(await fleet.enrol(machine, VICTIM, OWN))
    assert codes == ["document+sts"] * 3 + ["rate-limited"] * 2
    assert all(fleet.limits.address_attempts.took(OWN) for _ in range(3))


async def test_attempts_while_sts_is_unreachable_count_against_no_limit(fleet: Fleet) -> None:
    fleet.sts.away = True
    machine = victim(fleet)
    assert {await fleet.enrol(machine, VICTIM, SHARED) for _ in range(10)} == {"sts-unreachable"}
    fleet.sts.away = False
    assert await fleet.enrol(machine, VICTIM, SHARED) == "document+sts"


async def test_many_attempts_at_once_are_counted_before_they_are_judged(fleet: Fleet) -> None:
    await asyncio.gather(*(fleet.enrol(victim(fleet), "stolen", ELSEWHERE) for _ in range(50)))
    assert fleet.sts.asked == 3


async def test_refused_keys_fill_no_log(database: Database, authority: SigningAuthority) -> None:
    """From ever other addresses, with ever other keys: each is refused, and few become entries."""
    fleet = Fleet(database, authority, required=False)
    assert await fleet.enrol(victim(fleet), None, OWN) == "document"
    codes = [await fleet.enrol(victim(fleet), None, f"10.1.0.{number}") for number in range(20)]
    assert set(codes) == {"instance-bound"}
    assert len(await fleet.house.entries("enrolment-refused")) == 3


async def test_where_the_proof_is_required_a_document_alone_binds_nothing(fleet: Fleet) -> None:
    assert await fleet.enrol(victim(fleet), None, OWN) == "sts-required"
    assert await fleet.house.entries("enrolment") == []
