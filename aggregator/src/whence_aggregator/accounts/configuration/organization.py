"""The accounts that AWS Organizations lists, with those that the configuration file states. Pure.

An account is its id. The file may give it another name than the organisation has; a name that both have must be of the
same id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from whence_common.errors import InputError, one_line

ACTIVE = "ACTIVE"
"""The state of an account in use; others are SUSPENDED, PENDING_CLOSURE, CLOSED and PENDING_ACTIVATION."""
_PROBLEMS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAccount:
    """An account as the organisation lists it."""

    account_id: str
    name: str
    status: str
    path: str | None
    """Where it is in the tree of organisational units, `Root/production/web`; None where it could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A listed account that is not configured, and why."""

    account_id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenAccounts:
    """`ids` are the ids of the accounts to configure, by name: those of the file first, in its order."""

    ids: Mapping[str, str]
    left_out: tuple[LeftOut, ...]


def choose_accounts(
    stated: Mapping[str, str | None], listed: Sequence[ListedAccount], *, units: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> ChosenAccounts:  # fmt: skip
    """Return which accounts are configured. `stated` has the id, or None, of each account of the file by name.

    `units` are shell patterns of paths, each with all units below; without any, all accounts count. `exclude` are shell
    patterns of names or ids. Accounts that are not active are left out. Raises InputError with every problem: an
    account of the file that is not listed, an id that differs, a name of two accounts, a pattern that matches nothing.
    """
    problems = [*_of_list(listed, units), *_of_units(listed, units)]
    reasons = {one.account_id: _reason(one, units, exclude) for one in listed}
    found = _found(stated, listed, reasons, problems)
    rest = sorted(
        set(listed) - set(found.values()), key=lambda one: (one.name, one.account_id)
    )  # fmt: skip
    problems += _twice(found)
    problems += _taken(found, [one for one in rest if not reasons[one.account_id]])
    if problems:
        more = [f"and {len(problems) - _PROBLEMS_MAX} more"] if len(problems) > _PROBLEMS_MAX else []
        raise InputError(
            "organization-accounts", "; ".join([*problems[:_PROBLEMS_MAX], *more]),
            fix="correct accounts: or organizations: in the configuration; nothing was written",
        )  # fmt: skip
    ids: dict[str, str] = {}
    left: list[LeftOut] = []
    for name, one in (*found.items(), *((each.name, each) for each in rest)):
        reason = reasons[one.account_id] or _excluded((name,), exclude)
        if reason:
            left.append(LeftOut(account_id=one.account_id, name=name, reason=reason))
        else:
            ids[name] = one.account_id
    return ChosenAccounts(ids=ids, left_out=tuple(left))


def _found(
    stated: Mapping[str, str | None], listed: Sequence[ListedAccount], reasons: Mapping[str, str], problems: list[str]
) -> dict[str, ListedAccount]:
    """Return the listed accounts that the file states, by their names there.

    Of accounts with the same name those that are configured count first: a closed one is listed for 90 days.
    """
    by_id = {one.account_id: one for one in listed}
    by_name: dict[str, list[ListedAccount]] = defaultdict(list)
    for one in sorted(listed, key=lambda each: (each.name, each.account_id)):
        by_name[one.name].append(one)
    found: dict[str, ListedAccount] = {}
    for name, account_id in stated.items():
        namesakes = by_name.get(name, [])
        namesakes = [one for one in namesakes if not reasons[one.account_id]] or namesakes
        ids = " and ".join(one.account_id for one in namesakes)
        if account_id in by_id:
            found[name] = by_id[account_id]
        elif not namesakes:
            problems.append(f"accounts.{name}: the organisation does not list it")
        elif account_id is not None:
            problems.append(f"accounts.{name}.id: is {account_id}, but the organisation lists {ids}")
        elif len(namesakes) > 1:
            problems.append(f"accounts.{name}: the organisation lists several of the name, write the id: {ids}")
        else:
            found[name] = namesakes[0]
    return found


def _twice(found: Mapping[str, ListedAccount]) -> Iterator[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, one in found.items():
        names[one.account_id].append(name)
    for account_id, many in names.items():
        if len(many) > 1:
            yield f"{' and '.join(f'accounts.{name}' for name in many)} have the id {account_id}"


def _taken(found: Mapping[str, ListedAccount], rest: Sequence[ListedAccount]) -> Iterator[str]:
    """Yield the names that two configured accounts would have. `rest` are those that the file does not state."""
    ids: dict[str, list[str]] = defaultdict(list)
    for one in rest:
        ids[one.name].append(one.account_id)
    for name, many in ids.items():
        shown = one_line(name, 80)
        if name in found:
            stated = f"accounts.{shown} is {found[name].account_id}"
            yield f"{stated}, but the organisation has the name for {', '.join(many)}: add that under another name"
        elif len(many) > 1:
            yield f"the organisation lists {' and '.join(many)} as {shown}: add them with names and ids to accounts"


def _of_list(listed: Iterable[ListedAccount], units: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for one in listed:
        if one.account_id in seen:
            yield f"the organisation lists {one_line(one.account_id, 20)} twice"
        seen.add(one.account_id)
        if units and one.path is None:
            yield f"the organisational unit of {one_line(one.name, 80)} ({one.account_id}) could not be read"


def _of_units(listed: Sequence[ListedAccount], units: Sequence[str]) -> Iterator[str]:
    paths = {one.path for one in listed if one.path is not None}
    for unit in units:
        if not any(_is_in(path, unit) for path in paths):
            yield f"organizations.units: {one_line(unit, 200)} matches no organisational unit with accounts"


def _reason(account: ListedAccount, units: Sequence[str], exclude: Sequence[str]) -> str:
    """Return why an account is not configured; empty if it is."""
    if account.status != ACTIVE:
        return f"it is {account.status or 'without a state'}"
    if units and not any(_is_in(account.path or "", unit) for unit in units):
        return f"it is in {account.path}, which no pattern of organizations.units matches"
    return _excluded((account.name, account.account_id), exclude)


def _excluded(names: Sequence[str], exclude: Sequence[str]) -> str:
    found = next((pattern for pattern in exclude if any(fnmatchcase(one, pattern) for one in names)), None)
    return f"organizations.exclude has {found}" if found is not None else ""


def _is_in(path: str, unit: str) -> bool:
    """Return whether a pattern matches a path or one of the units above it."""
    steps = path.split("/")
    return any(fnmatchcase("/".join(steps[:end]), unit.rstrip("/")) for end in range(1, len(steps) + 1))
