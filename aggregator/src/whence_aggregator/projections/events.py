"""Projections of events: enrolments, collected facts and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.known import LifeTally
from whence_aggregator.projections.persons import persons_in
from whence_aggregator.projections.pushes import tag_named, unjudge_tag
from whence_aggregator.projections.rows import known_instances, last_number, listed, number, rule_sets, standing
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
    ADD_INVENTORY_HISTORY,
    ADD_RANGE_COMMIT,
    ADD_REVIEW_NAME,
    ADD_TAG_DIGEST,
    PUT_INVENTORY,
    AddCommitWordParameters,
    AddFactParameters,
    AddImageChainParameters,
    AddImageCommitParameters,
    AddTagDigestParameters,
    PutInventoryParameters,
)
from whence_aggregator.queries.compliance import (
    ADD_RULE_SET,
    ADD_TO_TALLY,
    LAST_RULE_SET,
    RULE_SETS,
    SET_RULES,
    SET_VERDICT,
    UNJUDGE,
    UNJUDGE_COMMIT,
    UNJUDGE_IMAGE,
    UNJUDGE_TICKET,
    VERDICTS_OF,
    SetRulesParameters,
    SetVerdictParameters,
)
from whence_aggregator.queries.query import array, instance_ids, together
from whence_aggregator.queries.trace import INVENTORY_OF
from whence_aggregator.trace.facts import REVIEW_KIND, TICKET_KIND
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
INSTANCE = "instance"
"""The kind of subject of verdicts."""


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
        SET_LIFE.bind(lives),
        ADD_LIFE.bind(moved),
        ADD_TO_TALLY.bind(tallied.rows),
        UNJUDGE.bind([names]),
    )
    return set(known)


async def project_verdicts(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Update the verdicts of instances and their counts; store which rules have judged each."""
    sets = {index: _rules_of(event) for index, event in entries}
    names = instance_ids([event["subject"]["id"] for _, event in entries])
    wanted = array(sorted(set(sets.values())))
    instances, verdicts, sets_known, last = await transaction.fetch_all(
        together(
            INSTANCES_NAMED.bind(names),
            VERDICTS_OF.bind(names),
            RULE_SETS.bind({"sets": wanted}),
            LAST_RULE_SET.bind({}),
        )
    )
    known = known_instances(instances)
    numbers, before = rule_sets(sets_known), standing(verdicts)
    added = [one for one in dict.fromkeys(sets.values()) if one not in numbers]
    numbers |= {one: last_number(last) + 1 + place for place, one in enumerate(added)}
    tally: dict[tuple[str, str], int] = {}
    moved: dict[tuple[int, str], SetVerdictParameters] = {}
    for index, event in entries:
        if event["subject"]["kind"] != INSTANCE:
            raise ValueError("unknown kind of subject of a verdict")
        instance = known[event["subject"]["id"]]
        for verdict in event["verdicts"]:
            key = event["subject"]["id"], verdict["rule"]
            first = verdict["rule"] in event["first"]
            outcome, since = before.get(key, (None if first else "pass", event["at"]))
            if outcome != verdict["verdict"]:
                _count(tally, instance.account_id, verdict["rule"], outcome, -1)
                _count(tally, instance.account_id, verdict["rule"], verdict["verdict"], 1)
                since = event["at"]
            if verdict["verdict"] == "pass" and key not in before:
                continue
            before[key] = verdict["verdict"], since
            moved[instance.number, verdict["rule"]] = {
                "subject_kind": INSTANCE,
                "subject": instance.number,
                "rule": verdict["rule"],
                "rule_version": verdict["version"],
                "verdict": verdict["verdict"],
                "reason": verdict["reason"],
                "since": since,
                "ledger_index": index,
            }
    judged: list[SetRulesParameters] = [
        {"instance": known[event["subject"]["id"]].number, "rule_set": numbers[sets[index]]} for index, event in entries
    ]
    await transaction.execute(
        ADD_RULE_SET.bind([{"number": numbers[one], "rules": one} for one in added]),
        SET_VERDICT.bind(list(moved.values())),
        SET_RULES.bind(judged),
        ADD_TO_TALLY.bind([{"account_id": a, "subject": s, "n": n} for (a, s), n in tally.items() if n]),
    )


def _rules_of(event: Mapping[str, Any]) -> str:
    """Return the rules that judged, with their versions, as stored text."""
    return msgspec.json.encode(dict(event["rules"]), order="sorted").decode()


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


def _count(tally: dict[tuple[str, str], int], account: str, rule: str, outcome: str | None, by: int) -> None:
    if outcome is not None:
        key = account, f"{rule}/{outcome}"
        tally[key] = tally.get(key, 0) + by


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
