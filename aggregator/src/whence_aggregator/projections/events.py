"""Events: enrolments, applications, collected facts and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.ports import Parameters, Transaction
from whence_aggregator.projections.known import LifeTally
from whence_aggregator.projections.pushes import tag_named, unjudge_tag
from whence_aggregator.trace.life import life_of_row, listed_life
from whence_aggregator.trace.tags import REGISTRY
from whence_aggregator.trace.tickets import words_of
from whence_common.clock import parse_instant, to_millis
from whence_common.image_provenance import SourceClaim
from whence_common.image_reference import digest_of_subject
from whence_common.scm_source import ScmSource, repository_of

INVENTORY_KIND = "ec2-instance"
INSTANCE = "instance"
"""The kind of subject that verdicts are about."""


async def project_enrolment(transaction: Transaction, index: int, event: Mapping[str, Any]) -> int:
    """Bind the key to the instance; give the instance's number, the next one when it is new."""
    facts = event["instance"]
    names = msgspec.json.encode([facts["instance_id"]]).decode()
    known, last, inventory = await transaction.fetch_all(
        [("instances_named", {"instance_ids": names}), ("last_instance", {}), ("inventory_of", {"instance_ids": names})]
    )
    number = int(known[0]["number"]) if known else int(last[0]["number"]) + 1
    place = {name: facts[name] for name in ("account_id", "region")}
    listed = next((row for row in inventory if all(row[name] == one for name, one in place.items())), None)
    life = listed_life(listed["state"]) if listed is not None else "unknown"
    instance = {
        "number": number,
        "instance_id": facts["instance_id"],
        **place,
        "image_id": facts["image_id"],
        "listed": listed["state"] if listed is not None else "",
        "asked_at": listed["asked_at"] if listed is not None else 0,
        "life": life,
        "life_index": index if life != "unknown" else -1,
    }
    born = [{"instance": number, "ledger_index": index, "life": life}] if not known and life != "unknown" else []
    binding = {
        "instance": number,
        "number": event["number"],
        "key_id": bytes.fromhex(event["key_id"]),
        "ledger_index": index,
        "pending_at": to_millis(parse_instant(facts["pending_time"])),
    }
    tallied = LifeTally()
    if not known:
        tallied.move(facts["account_id"], None, life)
    await transaction.execute(
        ("add_instance", [instance]), ("add_enrolment", [binding]), ("add_life", born), ("add_to_tally", tallied.rows)
    )
    return number


async def project_application(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Add a revision of an application."""
    body = {name: event[name] for name in ("kio", "tickets")}
    row = {
        **{name: event[name] for name in ("application_id", "revision", "recorded_at", "recorded_by")},
        "body": msgspec.json.encode(body, order="deterministic").decode(),
        "ledger_index": index,
    }
    due = {"application_id": event["application_id"]}
    await transaction.execute(("add_application_revision", [row]), ("unjudge_application", [due]))


async def project_fact(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Keep what a collector found, with the ways back that follow from it."""
    if event["kind"] == INVENTORY_KIND:
        await project_inventory(transaction, [(index, event)])
        return
    value = msgspec.json.encode(event["value"], order="deterministic").decode()
    if event["kind"] == "tag":
        await transaction.execute(
            ("add_fact", [{**event, "value": value, "ledger_index": index}]),
            ("add_tag_digest", _named_by(event, index)),
            unjudge_tag(event["subject"]),
        )
        return
    if event["kind"] == "image-source":
        unjudge = ("unjudge_image", [{"image_digest": digest_of_subject(event["subject"])}])
    else:
        unjudge = ("unjudge_commit", [{"commit_id": event["subject"].rpartition("@")[2]}])
    await transaction.execute(
        ("add_fact", [{**event, "value": value, "ledger_index": index}]),
        ("add_image_commit", [{**one, "ledger_index": index} for one in links_of(event)]),
        ("add_commit_word", [{**one, "ledger_index": index} for one in words_in(event)]),
        ("add_image_chain", _chain_of(event)),
        unjudge,
    )


async def project_inventory(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> set[str]:
    """Keep what the EC2 API lists, and move the lives of enrolled instances; return the ids of those.

    No instance may be among the entries twice.
    """
    rows = [_inventory_row(index, one) for index, one in entries]
    names = msgspec.json.encode([row["instance_id"] for row in rows]).decode()
    known = {row["instance_id"]: row for row in await transaction.fetch("instances_named", {"instance_ids": names})}
    lives, moved, tallied = [], [], LifeTally()
    for row in rows:
        instance = known.get(row["instance_id"])
        if instance is None or (instance["account_id"], instance["region"]) != (row["account_id"], row["region"]):
            continue
        listed = {"listed": row["state"], "asked_at": row["asked_at"]}
        life, index = life_of_row({**instance, **listed}), instance["life_index"]
        if life != instance["life"]:
            index = row["ledger_index"]
            moved.append({"instance": instance["number"], "ledger_index": index, "life": life})
            tallied.move(instance["account_id"], instance["life"], life)
        lives.append({"number": instance["number"], **listed, "life": life, "life_index": index})
    await transaction.execute(
        ("put_inventory", rows),
        ("add_inventory_history", rows),
        ("set_life", lives),
        ("add_life", moved),
        ("add_to_tally", tallied.rows),
        ("unjudge", [{"instance_ids": names}]),
    )
    return set(known)


async def project_verdicts(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Move the verdicts of instances, and how many there are; keep which rules have judged each."""
    sets = {index: _rules_of(event) for index, event in entries}
    names = msgspec.json.encode([event["subject"]["id"] for _, event in entries]).decode()
    wanted = {"sets": msgspec.json.encode(sorted(set(sets.values()))).decode()}
    instances, standing, known, last = await transaction.fetch_all(
        [
            ("instances_named", {"instance_ids": names}),
            ("verdicts_of", {"instance_ids": names}),
            ("rule_sets", wanted),
            ("last_rule_set", {}),
        ]
    )
    rows = {row["instance_id"]: row for row in instances}
    numbers = {row["rules"]: row["number"] for row in known}
    added = [one for one in dict.fromkeys(sets.values()) if one not in numbers]
    numbers |= {one: last[0]["number"] + 1 + place for place, one in enumerate(added)}
    before = {(row["instance_id"], row["rule"]): (row["verdict"], row["since"]) for row in standing}
    tally: dict[tuple[str, str], int] = {}
    moved: dict[tuple[int, str], dict[str, object]] = {}
    for index, event in entries:
        if event["subject"]["kind"] != INSTANCE:
            raise ValueError("verdicts about this kind of subject are not known")
        instance = rows[event["subject"]["id"]]
        for verdict in event["verdicts"]:
            key = event["subject"]["id"], verdict["rule"]
            first = verdict["rule"] in event["first"]
            outcome, since = before.get(key, (None if first else "pass", event["at"]))
            if outcome != verdict["verdict"]:
                _count(tally, instance["account_id"], verdict["rule"], outcome, -1)
                _count(tally, instance["account_id"], verdict["rule"], verdict["verdict"], 1)
                since = event["at"]
            if verdict["verdict"] == "pass" and key not in before:
                continue
            before[key] = verdict["verdict"], since
            moved[instance["number"], verdict["rule"]] = {
                "subject_kind": INSTANCE,
                "subject": instance["number"],
                **{name: verdict[name] for name in ("rule", "verdict", "reason")},
                "rule_version": verdict["version"],
                "since": since,
                "ledger_index": index,
            }
    judged = [{"instance": rows[e["subject"]["id"]]["number"], "rule_set": numbers[sets[i]]} for i, e in entries]
    await transaction.execute(
        ("add_rule_set", [{"number": numbers[one], "rules": one} for one in added]),
        ("set_verdict", list(moved.values())),
        ("set_rules", judged),
        ("add_to_tally", [{"account_id": a, "subject": s, "n": n} for (a, s), n in tally.items() if n]),
    )


def _rules_of(event: Mapping[str, Any]) -> str:
    """Return the rules that judged, with their versions, as they are stored."""
    return msgspec.json.encode(dict(event["rules"]), order="sorted").decode()


def links_of(event: Mapping[str, Any]) -> list[dict[str, object]]:
    """Give the commits that an image or its registry says it was built from."""
    if event["kind"] != "image-source":
        return []
    digest = digest_of_subject(event["subject"])
    links: dict[tuple[str, str], dict[str, object]] = {}
    for claim in claims_in(event["value"]):
        repository = repository_of(claim.source.url)
        if claim.source.commit_id is not None and repository is not None:
            place = str(repository)
            links[claim.source.commit_id, place] = {
                "commit_id": claim.source.commit_id, "image_digest": digest, "repository": place, "said_by": REGISTRY,
            }  # fmt: skip
    return list(links.values())


def claims_in(value: Mapping[str, Any]) -> list[SourceClaim]:
    """Give what a fact about an image says of its source, whoever says it."""
    claims = [SourceClaim.from_wire(one) for one in value.get("claims", [])]
    document = value.get("scm_source")
    if isinstance(document, Mapping):
        claims.append(SourceClaim(kind="scm-source", source=ScmSource.from_wire(document)))
    return claims


def _named_by(event: Mapping[str, Any], index: int) -> list[Parameters]:
    digest = event["value"].get("digest")
    return [tag_named(event["subject"], digest, REGISTRY, index)] if digest else []


def _chain_of(event: Mapping[str, Any]) -> list[dict[str, object]]:
    chain = event["value"].get("chain") if event["kind"] == "image-source" else None
    return [{"chain": chain, "image_digest": digest_of_subject(event["subject"])}] if chain else []


def words_in(event: Mapping[str, Any]) -> list[dict[str, object]]:
    """Give the words of a commit's message by which its tickets lead to it."""
    if event["kind"] != "commit" or event["outcome"] != "found":
        return []
    place, _, commit_id = event["subject"].rpartition("@")
    words = words_of(str(event["value"]["message"]))
    return [{"word": word, "repository": place, "commit_id": commit_id} for word in words]


def _count(tally: dict[tuple[str, str], int], account: str, rule: str, outcome: str | None, by: int) -> None:
    if outcome is not None:
        key = account, f"{rule}/{outcome}"
        tally[key] = tally.get(key, 0) + by


def _inventory_row(index: int, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an event; before listings stated when they began, `observed_at` was next to it."""
    value = {"asked_at": to_millis(parse_instant(one["observed_at"])), "user_data_unread": "", **one["value"]}
    return {**{name: value[name] for name in _INVENTORY}, "ledger_index": index}


_INVENTORY = (
    "account_id",
    "region",
    "instance_id",
    "state",
    "launched_at",
    "user_data_digest",
    "user_data_unread",
    "asked_at",
)
