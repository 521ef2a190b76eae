"""Projections of events: enrolments and collected facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.known import LifeTally
from whence_aggregator.projections.persons import persons_in
from whence_aggregator.projections.pushes import tag_named, unjudge_tag
from whence_aggregator.projections.rows import known_instances, last_number, listed, number
from whence_aggregator.projections.search_names import commits_in, layers_in, names_in
from whence_aggregator.projections.subjects import named_as, subject_of
from whence_aggregator.queries.agents import (
    ADD_ENROLMENT,
    ADD_INSTANCE,
    ADD_LIFE,
    INSTANCES_NAMED,
    LAST_INSTANCE,
    SET_LIFE,
    AddEnrolmentParameters,
    AddInstanceParameters,
    AddLifeParameters,
    SetLifeParameters,
)
from whence_aggregator.queries.collect import (
    ADD_COMMIT_PERSON,
    ADD_COMMIT_WORD,
    ADD_FACT,
    ADD_IMAGE_CHAIN,
    ADD_IMAGE_COMMIT,
    ADD_IMAGE_LAYER,
    ADD_INVENTORY_DETAIL,
    ADD_INVENTORY_HISTORY,
    ADD_RANGE_COMMIT,
    ADD_REVIEW_NAME,
    ADD_TAG_DIGEST,
    PUT_INVENTORY,
    AddCommitWordParameters,
    AddFactParameters,
    AddImageChainParameters,
    AddImageCommitParameters,
    AddInventoryDetailParameters,
    AddTagDigestParameters,
    PutInventoryParameters,
)
from whence_aggregator.queries.compliance import (
    ADD_TO_TALLY,
    MARK_SUBJECT,
    UNJUDGE,
    UNJUDGE_AMI,
    UNJUDGE_COMMIT,
    UNJUDGE_IMAGE,
    UNJUDGE_TICKET,
    MarkSubjectParameters,
)
from whence_aggregator.queries.query import instance_ids, together
from whence_aggregator.queries.trace import INVENTORY_OF
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND, AMI_KIND, REVIEW_KIND, TICKET_KIND
from whence_aggregator.trace.life import life_of, listed_life
from whence_aggregator.trace.review_names import number_word
from whence_aggregator.trace.tags import REGISTRY
from whence_aggregator.trace.tickets import named_in_review, parts_of_branch, words_of
from whence_common.clock import parse_instant, to_millis
from whence_common.image_provenance import SourceClaim
from whence_common.image_reference import digest_of_subject
from whence_common.repositories import repository_named
from whence_common.scm_source import ScmSource

INVENTORY_KIND = "ec2-instance"
_REVIEW_WORDS_MAX = 2_000


async def project_enrolment(transaction: Transaction, index: int, event: Mapping[str, Any]) -> int:
    """Bind the key to the instance; return the instance's number, which is the next one when it is new."""
    facts = event["instance"]
    names = instance_ids([facts["instance_id"]])
    known, last, inventory = await transaction.fetch_all(
        together(
            INSTANCES_NAMED.bind(names),
            LAST_INSTANCE.bind({}),
            INVENTORY_OF.bind(names),
        )
    )
    known_number = number(known)
    instance_number = known_number if known_number is not None else last_number(last) + 1
    shown = listed(inventory, facts["account_id"], facts["region"])
    state, asked_at = shown if shown is not None else ("", 0)
    life = listed_life(state) if shown is not None else "unknown"
    instance: AddInstanceParameters = {
        "number": instance_number,
        "instance_id": facts["instance_id"],
        "account_id": facts["account_id"],
        "region": facts["region"],
        "image_id": facts["image_id"],
        "listed": state,
        "asked_at": asked_at,
        "life": life,
        "life_index": index if life != "unknown" else -1,
    }
    born: AddLifeParameters = {"instance": instance_number, "ledger_index": index, "life": life}
    binding: AddEnrolmentParameters = {
        "instance": instance_number,
        "number": event["number"],
        "key_id": bytes.fromhex(event["key_id"]),
        "ledger_index": index,
        "pending_at": to_millis(parse_instant(facts["pending_time"])),
    }
    tallied = LifeTally()
    if known_number is None:
        tallied.move(facts["account_id"], None, life)
    await transaction.execute(
        ADD_INSTANCE.bind([instance]),
        ADD_ENROLMENT.bind([binding]),
        ADD_LIFE.bind([born] if known_number is None and life != "unknown" else []),
        ADD_TO_TALLY.bind(tallied.rows),
    )
    return instance_number


async def project_fact(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Store a collector's fact, with the rows by which searches find it."""
    if event["kind"] == INVENTORY_KIND:
        await project_inventory(transaction, [(index, event)])
        return
    event = {**event, "subject": subject_of(event)}
    row: AddFactParameters = {
        "kind": event["kind"],
        "subject": event["subject"],
        "ledger_index": index,
        "observed_at": event["observed_at"],
        "outcome": event["outcome"],
        "value": msgspec.json.encode(event["value"], order="deterministic").decode(),
        "reason": event["reason"],
    }
    if event["kind"] == "tag":
        await transaction.execute(
            ADD_FACT.bind([row]),
            ADD_TAG_DIGEST.bind(_named_by(event, index)),
            unjudge_tag(event["subject"]),
        )
        return
    if event["kind"] == TICKET_KIND:
        await transaction.execute(ADD_FACT.bind([row]), UNJUDGE_TICKET.bind([named_as(event["subject"])]))
        return
    if event["kind"] == ACCOUNT_DRIFT_KIND:
        marked: MarkSubjectParameters = {"kind": "account", "id": event["subject"]}
        await transaction.execute(ADD_FACT.bind([row]), MARK_SUBJECT.bind([marked]))
        return
    if event["kind"] == AMI_KIND:
        ami = event["subject"].rpartition("/")[2]
        await transaction.execute(ADD_FACT.bind([row]), UNJUDGE_AMI.bind([{"image_id": ami}]))
        return
    if event["kind"] == "image-source":
        unjudge = UNJUDGE_IMAGE.bind([{"image_digest": digest_of_subject(event["subject"])}])
    else:
        # the subject of a range ends in `base..head`: images are built from its head
        commit_id = event["subject"].rpartition("@")[2].rpartition("..")[2]
        unjudge = UNJUDGE_COMMIT.bind([{"commit_id": commit_id}])
    await transaction.execute(
        ADD_FACT.bind([row]),
        ADD_IMAGE_COMMIT.bind(links_of(event, index)),
        ADD_COMMIT_WORD.bind(words_in(event, index)),
        ADD_COMMIT_PERSON.bind(persons_in(event, index)),
        ADD_REVIEW_NAME.bind(names_in(event, index)),
        ADD_RANGE_COMMIT.bind(commits_in(event, index)),
        ADD_IMAGE_CHAIN.bind(_chain_of(event)),
        ADD_IMAGE_LAYER.bind(layers_in(event, index)),
        unjudge,
    )


async def project_inventory(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> set[str]:
    """Store what the EC2 API lists, and update the lives of enrolled instances; return the ids of those that changed.

    Each instance may occur at most once in the entries.
    """
    rows = [_inventory_row(index, one) for index, one in entries]
    names = instance_ids([row["instance_id"] for row in rows])
    known = known_instances(await transaction.fetch(INSTANCES_NAMED.bind(names)))
    lives: list[SetLifeParameters] = []
    moved: list[AddLifeParameters] = []
    tallied = LifeTally()
    for row in rows:
        instance = known.get(row["instance_id"])
        if instance is None or (instance.account_id, instance.region) != (row["account_id"], row["region"]):
            continue
        life_index = instance.life_index
        life = life_of(listed=row["state"], asked_at=row["asked_at"], cause=instance.cause, spoke_at=instance.spoke_at)
        if life != instance.life:
            life_index = row["ledger_index"]
            moved.append({"instance": instance.number, "ledger_index": life_index, "life": life})
            tallied.move(instance.account_id, instance.life, life)
        lives.append(
            {
                "number": instance.number,
                "listed": row["state"],
                "asked_at": row["asked_at"],
                "life": life,
                "life_index": life_index,
            }
        )
    await transaction.execute(
        PUT_INVENTORY.bind(rows),
        ADD_INVENTORY_HISTORY.bind(rows),
        ADD_INVENTORY_DETAIL.bind(_details(entries)),
        SET_LIFE.bind(lives),
        ADD_LIFE.bind(moved),
        ADD_TO_TALLY.bind(tallied.rows),
        UNJUDGE.bind([names]),
    )
    return set(known)


def links_of(event: Mapping[str, Any], index: int) -> list[AddImageCommitParameters]:
    """Return the commits that an image was built from, by the image or its registry."""
    if event["kind"] != "image-source":
        return []
    digest = digest_of_subject(event["subject"])
    links: dict[tuple[str, str], AddImageCommitParameters] = {}
    for claim in claims_in(event["value"]):
        repository = repository_named(claim.source.url)
        if claim.source.commit_id is not None and repository is not None:
            place = str(repository)
            links[claim.source.commit_id, place] = {
                "commit_id": claim.source.commit_id, "image_digest": digest, "repository": place, "said_by": REGISTRY,
                "ledger_index": index,
            }  # fmt: skip
    return list(links.values())


def claims_in(value: Mapping[str, Any]) -> list[SourceClaim]:
    """Return all claims about an image's source in a fact."""
    claims = [SourceClaim.from_wire(one) for one in value.get("claims", [])]
    document = value.get("scm_source")
    if isinstance(document, Mapping):
        claims.append(SourceClaim(kind="scm-source", source=ScmSource.from_wire(document)))
    return claims


def _named_by(event: Mapping[str, Any], index: int) -> list[AddTagDigestParameters]:
    digest = event["value"].get("digest")
    return [tag_named(event["subject"], digest, REGISTRY, index)] if digest else []


def _chain_of(event: Mapping[str, Any]) -> list[AddImageChainParameters]:
    chain = event["value"].get("chain") if event["kind"] == "image-source" else None
    return [{"chain": chain, "image_digest": digest_of_subject(event["subject"])}] if chain else []


def words_in(event: Mapping[str, Any], index: int) -> list[AddCommitWordParameters]:
    """Return the words of a commit's message and of its reviews by which a search by ticket finds it."""
    if event["kind"] not in ("commit", REVIEW_KIND) or event["outcome"] != "found":
        return []
    place, _, commit_id = event["subject"].rpartition("@")
    if event["kind"] == "commit":
        words = words_of(str(event["value"]["message"]))
    else:
        words = _words_of_reviews(event["value"]["reviews"])
    return [{"word": word, "repository": place, "commit_id": commit_id, "ledger_index": index} for word in words]


def _words_of_reviews(reviews: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for one in reviews:
        named = named_in_review(one["title"], one["text"], one["branch"])
        texts = map(words_of, (str(one["title"]), *parts_of_branch(str(one["branch"])), str(one["text"])))
        found[number_word(one["number"])] = None
        found |= dict.fromkeys((*(mention.id for mention in named), *(word for some in texts for word in some)))
    return tuple(found)[:_REVIEW_WORDS_MAX]


def _details(entries: Sequence[tuple[int, Mapping[str, Any]]]) -> list[AddInventoryDetailParameters]:
    """Return what entries state beyond the inventory's columns; old entries state none of it."""
    return [
        {
            "instance_id": one["value"]["instance_id"],
            "ledger_index": index,
            "details": msgspec.json.encode(one["value"]["details"], order="deterministic").decode(),
        }
        for index, one in entries
        if one["value"].get("details")
    ]


def _inventory_row(index: int, one: Mapping[str, Any]) -> PutInventoryParameters:
    """Return the row of an event. Old listings do not state when they began; `observed_at` is used instead."""
    value = {"asked_at": to_millis(parse_instant(one["observed_at"])), "user_data_unread": "", **one["value"]}
    return {
        "account_id": value["account_id"],
        "region": value["region"],
        "instance_id": value["instance_id"],
        "state": value["state"],
        "launched_at": value["launched_at"],
        "user_data_digest": value["user_data_digest"],
        "user_data_unread": value["user_data_unread"],
        "ledger_index": index,
        "asked_at": value["asked_at"],
    }
