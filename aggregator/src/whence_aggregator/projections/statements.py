"""Statements: the newest one of each instance is its state; every one is history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from whence_aggregator.ports import Asked, Parameters, Row, Transaction, Write
from whence_aggregator.trace.life import Life, life_of
from whence_common.clock import parse_instant, to_millis
from whence_common.digest import is_sha256_digest
from whence_common.image_reference import tag_reference
from whence_common.scm_source import ScmSource, repository_of
from whence_common.statement import Predicate

Combination = tuple[str, str, str, str, str, str, str]
_COMBINATIONS_KEPT_MAX = 100_000
_INSTANCES_KEPT_MAX = 50_000
_KNOWN_NAMES = (
    "number", "instance_id", "account_id", "region", "facets", "base", "first_index", "earliest", "late_millis",
    "listed", "asked_at", "spoke_at", "life", "life_index",
)  # fmt: skip
_LINK_NAMES = ("commit_id", "image_digest", "repository")
_NAMES = (
    "image_digest", "application_id", "application_version", "user_data_digest", "account_id", "region",
    "other_digests",
)  # fmt: skip


class Stated(msgspec.Struct, frozen=True, array_like=True):
    """What the tables take from a statement. `observed_at` is in milliseconds."""

    sequence: int
    cause: str
    observed_at: int
    combination: Combination
    links: list[tuple[str, str, str]]
    """(commit, image, repository) as the agent read it out of the image."""
    tag: tuple[str, str] | None = None
    """(reference by tag, digest that it named), when the image was asked for by tag."""

    @classmethod
    def of(cls, predicate: Predicate) -> Stated:
        return cls(
            sequence=predicate.sequence,
            cause=predicate.cause,
            observed_at=to_millis(parse_instant(predicate.observed_at)),
            combination=combination(predicate),
            links=image_commits(predicate),
            tag=_tag(predicate),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement that is in the log. `enrolment` is the number of the binding whose key signed it."""

    ledger_index: int
    instance_id: str
    enrolment: int
    stated: Stated
    next_base: int = -1


@dataclass(slots=True)
class Known:
    """An instance as its row has it, moved on while a batch is projected."""

    number: int
    instance_id: str
    account_id: str
    region: str
    order: tuple[int, int]
    facets: int
    base: int = -1
    newest: Said | None = None
    first_index: int = -1
    earliest: int = 0
    """The earliest time, in milliseconds, that any of its statements names."""
    late_millis: int = 0
    """By how much its first statement was recorded after that."""
    listed: str = ""
    asked_at: int = 0
    spoke_at: int = 0
    life: Life = "unknown"
    life_index: int = -1

    @classmethod
    def of(cls, row: Row) -> Known:
        return cls(**{name: row[name] for name in _KNOWN_NAMES}, order=(row["enrolment"], row["sequence"]))

    def move(self, newest: Said, facets: int, recorded_at: int) -> Life | None:
        """Take a newer statement, recorded at a time in milliseconds; return the life that it ended, if it did."""
        self.order = newest.enrolment, newest.stated.sequence
        self.newest, self.facets, self.spoke_at = newest, facets, recorded_at
        life = life_of(listed=self.listed, asked_at=self.asked_at, cause=newest.stated.cause, spoke_at=recorded_at)
        if life == self.life:
            return None
        before, self.life, self.life_index = self.life, life, newest.ledger_index
        return before


class KnownInstances:
    """Instances as they were left by the last commits: read again only when the log was, as it is after any failure.

    `moved_since` returns the instances that other writers changed since an edition, None when that is not known.
    """

    def __init__(self, moved_since: Callable[[int], frozenset[str] | None]) -> None:
        self._known: dict[str, Known] = {}
        self._edition: int | None = None
        self._moved_since = moved_since

    def moving(self, edition: int | None, keys: Iterable[tuple[str, int, int]]) -> dict[str, Known] | None:
        """Give the instances of these statements (instance, enrolment, sequence), when each moves one known here."""
        found: dict[str, Known] = {}
        self._follow(edition)
        if edition is None or edition != self._edition:
            return None
        for name, enrolment, sequence in keys:
            known = self._known.get(name)
            if known is None or (enrolment, sequence) <= known.order:
                return None
            found[name] = known
        return found

    def number(self, instance_id: str) -> int | None:
        """Give an instance's number, where it is known without looking."""
        known = self._known.get(instance_id)
        return known.number if known is not None else None

    def keep(self, edition: int | None, known: Mapping[str, Known]) -> None:
        """Keep what a commit left, in the edition that it was made on."""
        self._follow(edition)
        if edition != self._edition or len(self._known) > _INSTANCES_KEPT_MAX:
            self._known.clear()
        self._edition = edition
        for name, one in known.items():
            one.newest = None
            self._known[name] = one

    def _follow(self, edition: int | None) -> None:
        """Forget only what other writers changed, where that is known."""
        if edition is None or self._edition is None or edition == self._edition:
            return
        moved = self._moved_since(self._edition)
        if moved is not None:
            for name in moved:
                self._known.pop(name, None)
            self._edition = edition


class Combinations:
    """Numbers of the combinations that statements are searched by; those that are new get the next numbers."""

    def __init__(self) -> None:
        self._numbers: dict[Combination, int] = {}

    def forget(self) -> None:
        """Forget what may have been rolled back."""
        self._numbers.clear()

    async def numbers(
        self, transaction: Transaction, wanted: Sequence[Combination]
    ) -> tuple[dict[Combination, int], list[Parameters]]:
        """Give the number of each, and the rows that are to be added for new ones, in order of appearance."""
        unknown = [one for one in dict.fromkeys(wanted) if one not in self._numbers]
        added: list[Parameters] = []
        if unknown:
            if len(self._numbers) > _COMBINATIONS_KEPT_MAX:
                self._numbers.clear()
                unknown = list(dict.fromkeys(wanted))
            asked = [("facets_named", dict(zip(_NAMES, one, strict=True))) for one in unknown]
            *found, last = await transaction.fetch_all([*asked, ("last_facets", {})])
            following = last[0]["number"] + 1
            for one, rows in zip(unknown, found, strict=True):
                if rows:
                    self._numbers[one] = rows[0]["number"]
                else:
                    self._numbers[one] = following
                    added.append({"number": following, **dict(zip(_NAMES, one, strict=True))})
                    following += 1
        return self._numbers, added


def combination(predicate: Predicate) -> Combination:
    """Give what a statement is searched by."""
    return (
        predicate.image.digest if predicate.image is not None else "",
        predicate.application_id or "",
        predicate.application_version or "",
        predicate.user_data.digest if predicate.user_data is not None else "",
        predicate.instance.account_id,
        predicate.instance.region,
        " ".join(_other_digests(predicate)),
    )


def _other_digests(predicate: Predicate) -> list[str]:
    """Give, in order, what runs beside the application's image or is another name of it: sidecars, and the index."""
    found = {one.image_digest or one.declared_digest for one in predicate.containers}
    if predicate.image is not None:
        found.add(predicate.image.index_digest or "")
        found.discard(predicate.image.digest)
    return sorted(filter(is_sha256_digest, found))


class LifeTally:
    """How the counts of lives move, account by account, when instances' lives do."""

    def __init__(self) -> None:
        self._moves: dict[tuple[str, str], int] = {}

    def move(self, account_id: str, before: Life | None, life: Life) -> None:
        """Count an instance whose life changed; `before` is None for a new instance."""
        for one, by in ((before, -1), (life, 1)):
            if one is not None:
                key = account_id, f"life/{one}"
                self._moves[key] = self._moves.get(key, 0) + by

    @property
    def rows(self) -> list[Parameters]:
        return [
            {"account_id": account, "subject": subject, "n": n} for (account, subject), n in self._moves.items() if n
        ]


async def project_statements(
    transaction: Transaction,
    said: Sequence[Said],
    known: Mapping[str, Known],
    combinations: Combinations,
    recorded_at: int,
) -> list[Write]:
    """Return the writes that these statements, in the order of the log, mean. All were recorded at one time, in ms."""
    combined = [one.stated.combination for one in said]
    numbers, new_facets = await combinations.numbers(transaction, combined)
    statements: list[Parameters] = []
    pairs: dict[tuple[int, int], None] = {}
    commits: dict[tuple[str, str, str], int] = {}
    spoken: dict[str, int] = {}
    tags: dict[tuple[str, str], int] = {}
    firsts: dict[int, Parameters] = {}
    lives: list[Parameters] = []
    tallied = LifeTally()
    added = {row["number"] for row in new_facets}
    for one, combined_one in zip(said, combined, strict=True):
        instance, facets = known[one.instance_id], numbers[combined_one]
        number = instance.number
        statements.append(_statement(one, number, facets))
        if facets in added and one.stated.tag is not None:  # a tag that moves makes another combination
            tags.setdefault(one.stated.tag, one.ledger_index)
        if facets != instance.facets or one.enrolment != instance.order[0]:
            pairs[facets, number] = None
        if instance.order == (0, 0):
            account = combined_one[4]
            spoken[account] = spoken.get(account, 0) + 1
        if instance.first_index < 0 or one.stated.observed_at < instance.earliest:
            firsts[number] = _first(instance, one, recorded_at)
        if one.next_base >= 0:
            instance.base = one.next_base
        if (one.enrolment, one.stated.sequence) > instance.order:
            before = instance.move(one, facets, recorded_at)
            if before is not None:
                lives.append({"instance": number, "ledger_index": one.ledger_index, "life": instance.life})
                tallied.move(instance.account_id, before, instance.life)
        for link in one.stated.links:
            commits.setdefault(link, one.ledger_index)
    moved = {one.instance_id: known[one.instance_id] for one in said}
    return [
        ("add_facets", new_facets),
        ("add_facets_image", [row for one in new_facets for row in _others(one)]),
        ("add_statement", statements),
        ("add_instance_facets", [{"facets": f, "instance": n} for f, n in pairs]),
        ("add_life", lives),
        ("move_instance", [_moved(one) for one in moved.values() if one.newest is not None]),
        ("set_first", list(firsts.values())),
        ("add_image_commit", [_link_row(*one) for one in commits.items()]),
        ("add_to_tally", tallied.rows + [_spoken(*one) for one in spoken.items()]),
        ("add_tag_digest", [{"reference": r, "digest": d, "ledger_index": index} for (r, d), index in tags.items()]),
    ]  # fmt: skip


def named(instance_ids: Sequence[str]) -> Asked:
    """Ask for the rows of instances, each with the last index of the log."""
    names = msgspec.json.encode(list(dict.fromkeys(instance_ids))).decode()
    return "instances_named", {"instance_ids": names}


def image_commits(predicate: Predicate) -> list[tuple[str, str, str]]:
    """Give (commit, image, repository) as the agent read it out of the image."""
    found = predicate.scm_source
    if predicate.image is None or found is None:
        return []
    document = found.document or {}
    named = [(document.get("url", ""), document.get("revision", ""))]
    named += [(one.url, one.revision) for one in found.claims or ()]
    links = dict.fromkeys(_link(url, revision) for url, revision in named)
    return [(link[0], predicate.image.digest, link[1]) for link in links if link is not None]


def _tag(predicate: Predicate) -> tuple[str, str] | None:
    image = predicate.image
    reference = tag_reference(image.source) if image is not None else None
    return (reference, image.index_digest or image.digest) if image is not None and reference is not None else None


@lru_cache(maxsize=8192)
def _link(url: str, revision: str) -> tuple[str, str] | None:
    """Give commit and repository, where the source names both."""
    source = ScmSource.from_wire({"url": url, "revision": revision})
    repository = repository_of(source.url)
    return (source.commit_id, str(repository)) if source.commit_id is not None and repository is not None else None


def _link_row(link: tuple[str, str, str], index: int) -> Parameters:
    return {**dict(zip(_LINK_NAMES, link, strict=True)), "ledger_index": index}


def _others(facets: Parameters) -> list[Parameters]:
    return [{"image_digest": digest, "facets": facets["number"]} for digest in str(facets["other_digests"]).split()]


def _statement(one: Said, number: object, facets: int) -> Parameters:
    return {
        "instance": number,
        "enrolment": one.enrolment,
        "sequence": one.stated.sequence,
        "ledger_index": one.ledger_index,
        "observed_at": one.stated.observed_at,
        "cause": one.stated.cause,
        "facets": facets,
    }


def _first(instance: Known, one: Said, recorded_at: int) -> Parameters:
    """Move on what is known of the beginning of an instance's history."""
    observed_at = one.stated.observed_at
    if instance.first_index < 0:
        instance.first_index, instance.earliest = one.ledger_index, observed_at
        instance.late_millis = recorded_at - observed_at
    elif observed_at < instance.earliest:
        instance.late_millis += instance.earliest - observed_at
        instance.earliest = observed_at
    return {
        "number": instance.number,
        "first_index": instance.first_index,
        "earliest": instance.earliest,
        "late_millis": instance.late_millis,
    }


def _moved(known: Known) -> Parameters:
    newest = known.newest
    assert newest is not None
    return {
        "number": known.number,
        "instance_id": known.instance_id,
        "account_id": known.account_id,
        "region": known.region,
        "enrolment": newest.enrolment,
        "sequence": newest.stated.sequence,
        "ledger_index": newest.ledger_index,
        "observed_at": newest.stated.observed_at,
        "cause": newest.stated.cause,
        "facets": known.facets,
        "judged": -1,
        "base": known.base,
        "spoke_at": known.spoke_at,
        "life": known.life,
        "life_index": known.life_index,
    }


def _spoken(account_id: str, instances: int) -> Parameters:
    return {"account_id": account_id, "subject": "instances", "n": instances}
