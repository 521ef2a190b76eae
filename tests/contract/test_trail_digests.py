"""CloudTrail's digest files: a chain that AWS signed is valid, and gaps, missing and invalid files are told apart."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.auditor import checked
from fakes.cloud_trail import ACCOUNT, BUCKET, REGION, key, log_file, record, s3_event
from fakes.digest_signer import DigestSigner, Signed, public
from fakes.in_process import InProcess
from fakes.trail_world import TrailWorld
from whence_aggregator.events.digest_file import check_signature, parse_digest
from whence_aggregator.events.object_keys import TrailObject
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.queries.events import TRAIL_VERIFICATIONS

CHAIN = f"Default_{REGION}"
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""The queries run on PostgreSQL in test_queries.py; what is tested here is decided above the database."""


def a_world(house: InProcess) -> TrailWorld:
    world = TrailWorld(house)
    world.keys.keys[REGION] = [public()]
    return world


def store(world: TrailWorld, *digests: Signed) -> None:
    for one in digests:
        world.objects.put(one.key, one.content, signature=one.signature)


async def verified(world: TrailWorld, *digests: Signed) -> list[tuple[str, str]]:
    """Have messages about digest files arrive; return the recorded states, each once."""
    for one in digests:
        world.queue.send(s3_event(one.key))
    await world.settle()
    return await states(world)


async def states(world: TrailWorld) -> list[tuple[str, str]]:
    rows = await world.house.database.fetch(TRAIL_VERIFICATIONS.bind({}))
    assert {(row["account_id"], row["region"]) for row in rows} <= {(ACCOUNT, REGION)}
    return [(row["state"], row["reason"]) for row in rows]


async def test_a_chain_is_walked_back_from_one_message_and_is_valid(house: InProcess, tmp_path: Path) -> None:
    world, signer = a_world(house), DigestSigner()
    content = log_file(record(number=1))
    world.objects.put(key(), content)
    store(world, signer.sign(), signer.sign({key(): content}), signer.sign())
    assert await verified(world, signer.made[-1]) == [("valid", "")]
    assert {one.key for one in signer.made} <= set(world.objects.reads)
    assert len(world.keys.asked) == 1
    assert (await checked(house, tmp_path)).findings == []


async def test_a_log_file_that_no_message_named_is_found_and_its_events_recorded(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    content = log_file(record(number=9))
    world.objects.put(key(), content)
    store(world, signer.sign({key(): content}))
    await verified(world, signer.made[0])
    assert [one["event_id"][-1] for one in await world.events()] == ["9"]


async def test_a_log_file_that_was_changed_after_it_was_delivered_is_invalid(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    store(world, signer.sign({key(): log_file(record(number=1))}))
    world.objects.put(key(), log_file(record(number=1, sourceIPAddress="198.51.100.1")))
    place = f"s3://{BUCKET}/{signer.made[0].key}"
    assert await verified(world, signer.made[0]) == [("invalid", f"{place} names 1 log files that differ")]


async def test_a_log_file_that_was_read_and_changed_before_its_digest_came_is_invalid(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    world.objects.put(key(), log_file(record(number=2)))
    world.queue.send(s3_event(key()))
    await world.settle()
    store(world, signer.sign({key(): log_file(record(number=1))}))
    ((state, _),) = await verified(world, signer.made[0])
    assert state == "invalid"


async def test_bytes_after_the_stream_of_a_log_file_make_it_invalid(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    content = log_file(record(number=1))
    store(world, signer.sign({key(): content}))
    world.objects.put(key(), content + b"more")
    ((state, _),) = await verified(world, signer.made[0])
    assert state == "invalid"


async def test_a_log_file_or_digest_file_that_was_deleted_is_missing(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    store(world, signer.sign({key(): log_file(record())}))
    place = f"s3://{BUCKET}/{signer.made[0].key}"
    assert await verified(world, signer.made[0]) == [("missing", f"1 log files of {place} do not exist")]
    other, signer = a_world(house), DigestSigner(hour=100)
    signer.sign()
    store(other, signer.sign())
    found = await verified(other, signer.made[1])
    assert found[0][0] == "missing"
    assert f"s3://{BUCKET}/{signer.made[0].key} does not exist" in found[0][1] or "and 1 more" in found[0][1]


async def test_an_hour_without_a_digest_file_is_a_gap_and_the_first_file_of_a_chain_is_none(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    store(world, signer.sign(), signer.sign())
    assert await verified(world, *signer.made) == [("valid", "")]
    signer.skip()
    store(world, signer.sign())
    assert await verified(world, signer.made[-1]) == [
        ("gap", "nothing was recorded from 2026-11-22T02:00:00.000Z to 2026-11-22T03:00:00.000Z")
    ]


async def test_digest_files_for_late_log_files_are_a_chain_of_their_own(house: InProcess) -> None:
    world, signer, late = a_world(house), DigestSigner(), DigestSigner(backfill=True)
    store(world, signer.sign(), signer.sign())
    late.sign()
    for one in late.made:
        world.objects.put(one.key, one.content, signature=one.signature, made="2026-11-22T09:00:00Z")
    assert await verified(world, late.made[0]) == [("valid", "")]
    assert world.keys.asked == [(REGION, 1_795_334_400_000, 1_795_341_600_000)]
    signer.made.reverse()
    assert await verified(world, *signer.made) == [("valid", ""), ("valid", "")]


async def test_a_file_without_its_signature_is_verified_by_what_the_next_one_states(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    store(world, signer.sign(), signer.sign())
    world.objects.put(signer.made[0].key, signer.made[0].content)
    assert await verified(world, signer.made[1]) == [("valid", "")]


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"digestS3Object": "elsewhere"}, "states that its place is"),
        ({"awsAccountId": "210987654321"}, "is of account 210987654321"),
        ({"digestSignatureAlgorithm": "none"}, "not signed with SHA256withRSA"),
        ({"digestPublicKeyFingerprint": "ff"}, "no public key with the fingerprint"),
        ({"digestEndTime": "tomorrow"}, "not a digest file"),
        ({"logFiles": None}, "not a digest file"),
        ({"previousDigestS3Object": "a"}, "names the one before it only in part"),
    ],
)
async def test_a_digest_file_that_aws_would_not_write_is_invalid(
    house: InProcess, changes: dict[str, object], says: str
) -> None:
    world, signer = a_world(house), DigestSigner()
    store(world, signer.sign(None, **changes))
    ((state, reason),) = await verified(world, signer.made[0])
    assert (state, says in reason) == ("invalid", True), reason


async def test_a_digest_file_that_another_key_signed_or_that_was_changed_is_invalid(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    signed = signer.sign()
    forged = gzip.compress(signed.plain.replace(b'"oldestEventTime": null', b'"oldestEventTime": "x"'))
    store(world, replace(signed, content=forged))
    ((state, reason),) = await verified(world, signed)
    assert (state, "is not AWS's over its content" in reason) == ("invalid", True)


async def test_a_file_that_replaces_one_in_the_middle_of_the_chain_is_found(house: InProcess) -> None:
    world, signer, other = a_world(house), DigestSigner(), DigestSigner()
    store(world, signer.sign(), signer.sign())
    store(world, other.sign({key(): log_file(record())}))
    world.objects.put(key(), log_file(record()))
    ((state, reason),) = await verified(world, signer.made[1])
    assert (state, "is not the file that" in reason) == ("invalid", True)


async def test_keys_that_cannot_be_listed_leave_the_chain_unverified_and_are_asked_for_again(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    store(world, signer.sign())
    world.objects.failing[signer.made[0].key] = [SourceUnavailable("trail-unavailable", "S3 is away")]
    world.keys.failing = [SourceUnavailable("trail-denied", "AWS denies the request: AccessDenied")]
    assert await verified(world, signer.made[0]) == []
    for _ in range(2):
        assert await states(world) == []
        house.clock.advance(10)
        await world.settle()
    assert await states(world) == [("valid", "")]


async def test_log_files_in_a_bucket_that_is_not_read_leave_the_chain_unverified(house: InProcess) -> None:
    world, signer = a_world(house), DigestSigner()
    named = {"s3Bucket": "moved-logs", "s3Object": key(), "hashAlgorithm": "SHA-256", "hashValue": "0" * 64}
    store(world, signer.sign(None, logFiles=[named]))
    place = f"s3://{BUCKET}/{signer.made[0].key}"
    why = f"{place}: log files are in bucket moved-logs, which is not in the settings"
    assert await verified(world, signer.made[0]) == [("unknown", why)]


OTHER, CENTRAL = "210987654321", "central-logs"


async def in_central_bucket(world: TrailWorld, signer: DigestSigner) -> list[tuple[str, str, str]]:
    """Have the files of an organisation's trail arrive; return account, state and reason of its chains."""
    for one in signer.made:
        world.objects.put(one.key, one.content, bucket=CENTRAL, signature=one.signature)
        world.queue.send(s3_event(one.key, bucket=CENTRAL))
    await world.settle()
    rows = await world.house.database.fetch(TRAIL_VERIFICATIONS.bind({}))
    return [(row["account_id"], row["state"], row["reason"]) for row in rows]


async def test_an_organisations_trail_in_the_bucket_of_another_account_is_verified(house: InProcess) -> None:
    world = TrailWorld(house, accounts=[ACCOUNT, OTHER], buckets={CENTRAL: ()})
    world.keys.keys[REGION] = [public()]
    signer = DigestSigner(account=OTHER, organisation="o-exampleorg1", bucket=CENTRAL)
    name = key(account=OTHER, organisation="o-exampleorg1")
    content = log_file(record(recipientAccountId=OTHER))
    world.objects.put(name, content, bucket=CENTRAL)
    signer.sign()
    signer.sign({name: content})
    assert await in_central_bucket(world, signer) == [(OTHER, "valid", "")]
    assert [one["account_id"] for one in await world.events()] == [OTHER]


async def test_a_member_of_the_organisation_that_is_not_accepted_is_refused_with_the_reason(house: InProcess) -> None:
    world = TrailWorld(house, accounts=[ACCOUNT], buckets={CENTRAL: ()})
    signer = DigestSigner(account=OTHER, organisation="o-exampleorg1", bucket=CENTRAL)
    signer.sign()
    assert await in_central_bucket(world, signer) == []
    assert await world.dead() == [("object", "account-not-accepted", -1)]


async def test_a_copy_of_a_digest_file_in_another_bucket_is_refused_because_aws_signed_its_place(
    house: InProcess,
) -> None:
    world = TrailWorld(house, buckets={BUCKET: (), CENTRAL: ()})
    world.keys.keys[REGION] = [public()]
    signer = DigestSigner()
    signer.sign()
    ((_, state, reason),) = await in_central_bucket(world, signer)
    assert (state, "states that its place is" in reason) == ("invalid", True)


async def test_a_chain_that_began_in_a_bucket_that_is_not_read_is_unknown_until_it_is(house: InProcess) -> None:
    world = TrailWorld(house, buckets={CENTRAL: ()})
    world.keys.keys[REGION] = [public()]
    signer = DigestSigner(bucket="of-another-account")
    before = signer.sign()
    signer.bucket = CENTRAL
    after = signer.sign()
    world.objects.put(before.key, before.content, bucket="of-another-account", signature=before.signature)
    signer.made.remove(before)
    why = f"s3://of-another-account/{before.key}: the bucket is not in the settings"
    assert (await in_central_bucket(world, signer))[-1][1:] == (
        "unknown",
        f"s3://of-another-account/{before.key}: {why}",
    )
    house.clock.advance(86_401)
    await world.settle()
    assert (await states(world))[-1][0] == "unknown"
    world.buckets["of-another-account"] = ()
    house.clock.advance(86_401)
    await world.settle()
    assert (await states(world))[-1] == ("valid", "")
    assert {before.key, after.key} <= set(world.objects.reads)


def test_a_signature_is_over_the_documented_text(database: object) -> None:
    signer = DigestSigner()
    one = signer.sign()
    digest = parse_digest(one.content, TrailObject(bucket=BUCKET, key=one.key), ACCOUNT)
    lines = digest.signed.decode().split("\n")
    assert (lines[0], lines[1], lines[3]) == ("2026-11-22T01:00:00Z", f"{BUCKET}/{one.key}", "null")
    check_signature(digest, one.signature, public().content)
    for signature, by in ((one.signature, public(1).content), ("", public().content), ("zz", public().content),
                          (one.signature, b"not a key")):  # fmt: skip
        with pytest.raises(TrailRefused, match="is not AWS's over its content"):
            check_signature(digest, signature, by)
