"""Projections of what fullstop.'s interface records, and of the numbers by which it names violations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.rows import fullstop_numbers, last_number
from whence_aggregator.queries.fullstop import (
    ADD_FULLSTOP_EXEMPTION,
    ADD_FULLSTOP_NUMBER,
    ADD_FULLSTOP_REPORT,
    ADD_INSTANCE_LOG,
    END_FULLSTOP_EXEMPTION,
    FULLSTOP_NUMBERS,
    LAST_FULLSTOP_NUMBER,
    PUT_FULLSTOP_RESOLUTION,
    AddFullstopNumberParameters,
    EndFullstopExemptionParameters,
)
from whence_aggregator.queries.query import array, together

FULLSTOP_REPORT, FULLSTOP_RESOLUTION = "fullstop-report", "fullstop-resolution"
FULLSTOP_EXEMPTION, INSTANCE_LOG = "fullstop-exemption", "instance-log"
VIOLATION, EXEMPTION = "violation", "exemption"
"""Kinds of what has a number."""


def verdict_key(rule: str, kind: str, subject: str) -> str:
    """Return what the number of a verdict's violation is found by."""
    return f"{rule}~{kind}~{subject}"


def report_key(event: Mapping[str, Any]) -> str:
    """Return what tells reports apart: fullstop. refused a second one of the same, in any state."""
    names = ("account_id", "region", "event_id", "instance_id", "violation_type")
    return "report~" + msgspec.json.encode([event[name] for name in names]).decode()


def exemption_key(index: int) -> str:
    return f"rule~{index}"


async def number(transaction: Transaction, kind: str, keys: Sequence[str]) -> dict[str, int]:
    """Return the numbers of what has these keys; what has none yet gets the next ones, in the order given."""
    wanted = list(dict.fromkeys(keys))
    known_rows, last_rows = await transaction.fetch_all(
        together(FULLSTOP_NUMBERS.bind({"kind": kind, "keys": array(wanted)}), LAST_FULLSTOP_NUMBER.bind({}))
    )
    known = fullstop_numbers(known_rows)
    last, added = last_number(last_rows), list[AddFullstopNumberParameters]()
    for key in wanted:
        if key not in known:
            last += 1
            known[key] = last
            added.append({"number": last, "kind": kind, "key": key})
    if added:
        await transaction.execute(ADD_FULLSTOP_NUMBER.bind(added))
    return known


async def project_report(transaction: Transaction, index: int, event: Mapping[str, Any]) -> int:
    """Store a reported violation; return its number."""
    key = report_key(event)
    given = (await number(transaction, VIOLATION, [key]))[key]
    await transaction.execute(
        ADD_FULLSTOP_REPORT.bind(
            [
                {
                    "number": given, "ledger_index": index, "account_id": event["account_id"],
                    "region": event["region"], "event_id": event["event_id"], "instance_id": event["instance_id"],
                    "violation_type": event["violation_type"],
                    "meta_info": msgspec.json.encode(event["meta_info"], order="deterministic").decode(),
                    "username": event["username"], "application_id": event["application_id"],
                    "application_version": event["application_version"], "recorded_at": event["recorded_at"],
                    "recorded_by": event["recorded_by"],
                }
            ]
        )
    )  # fmt: skip
    return given


async def project_resolution(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Store the comment of a resolution in place of the one before."""
    key = event["violation"]
    given = (await number(transaction, VIOLATION, [key]))[key]
    await transaction.execute(
        PUT_FULLSTOP_RESOLUTION.bind(
            [
                {
                    "number": given, "ledger_index": index, "comment": event["comment"],
                    "recorded_at": event["recorded_at"], "recorded_by": event["recorded_by"],
                }
            ]
        )
    )  # fmt: skip


async def project_exemption(transaction: Transaction, index: int, event: Mapping[str, Any]) -> int:
    """Store a whitelisting rule, or that one ends; return its number, or that of the rule that ends."""
    if event["ends"] is not None:
        ended: int = event["ends"]
        row: EndFullstopExemptionParameters = {
            "number": ended, "ends_at": event["ends_at"], "changed_at": event["recorded_at"],
            "changed_by": event["recorded_by"],
        }  # fmt: skip
        await transaction.execute(END_FULLSTOP_EXEMPTION.bind([row]))
        return ended
    key = exemption_key(index)
    given = (await number(transaction, EXEMPTION, [key]))[key]
    await transaction.execute(
        ADD_FULLSTOP_EXEMPTION.bind(
            [
                {
                    "number": given, "ledger_index": index, "violation_type": event["violation_type"],
                    "account_id": event["account_id"], "application_id": event["application_id"],
                    "application_version": event["application_version"],
                    "reason": event["reason"], "recorded_at": event["recorded_at"],
                    "recorded_by": event["recorded_by"], "ends_at": event["ends_at"],
                    "changed_at": event["recorded_at"], "changed_by": event["recorded_by"],
                }
            ]
        )
    )  # fmt: skip
    return given


async def project_instance_log(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Store that an instance's log was received. It changes no instance: nobody has signed it."""
    document = event["document"]
    await transaction.execute(
        ADD_INSTANCE_LOG.bind(
            [
                {
                    "instance_id": event["instance_id"], "account_id": event["account_id"],
                    "log_type": event["log_type"], "boot_time": event["instance_boot_time"],
                    "digest": event["digest"], "region": event["region"], "ledger_index": index,
                    "size": event["size"], "recorded_at": event["recorded_at"],
                    "document": msgspec.json.encode(document, order="deterministic").decode() if document else "",
                }
            ]
        )
    )  # fmt: skip
