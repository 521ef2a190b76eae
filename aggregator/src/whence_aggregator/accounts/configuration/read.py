"""Reads a configuration: bytes in, the effective settings of each account out. No file and no network is used here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType

from msgspec.inspect import type_info

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import partition_of
from whence_aggregator.accounts.configuration import placeholders
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.merging import EMPTY, merged, replaced
from whence_aggregator.accounts.configuration.organizations import Organizations
from whence_aggregator.accounts.configuration.patterns import select
from whence_aggregator.accounts.configuration.root import ACCOUNTS_MAX, Root, error, is_account_name, read_root
from whence_aggregator.accounts.configuration.sections import Sections
from whence_aggregator.accounts.configuration.version10_reading import Translation
from whence_common.errors import InputError, one_line
from whence_common.problems import Problem, has_errors, in_document_order, render
from whence_common.settings_file import Document, SettingsInvalid
from whence_common.settings_typed import typed
from whence_common.user_data.nodes import MappingNode, ScalarNode

EFFECTIVE_NODES_MAX = 5_000_000
"""Values of all accounts' sections after merging: 2,000 accounts with 2,500 each."""
PROBLEMS_MAX = 100
INVALID_ACCOUNTS_MAX = 25
"""Accounts with problems that are judged before the reading ends."""
_ID = re.compile(r"[0-9]{12}")
_ANY_ID = "000000000000"
_NONE: Mapping[str, str] = MappingProxyType({})
_ID_FIX = (
    'write id: "…" in its section (version 10 accepts that key too), list AWS Organizations (organizations:), or name '
    "a file of accounts"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A valid configuration. `remarks` are warnings: keys of version 10 that have no effect, or are another key now."""

    name: str
    version: int
    remarks: tuple[Problem, ...]
    organizations: Organizations | None
    ids: Mapping[str, str]
    """Ids in the file, by the name of the account."""
    names: tuple[str, ...]
    """Accounts in the file, in its order."""
    _sections: Sections = field(repr=False)

    def accounts(
        self, *patterns: str, account_list: Mapping[str, str] = _NONE, organization_id: str | None = None
    ) -> tuple[ConfiguredAccount, ...]:  # fmt: skip
        """Return the accounts that the shell patterns match; all without a pattern.

        `account_list` has the ids of accounts that the file states no id for, by name. With `organizations:` in the
        file, exactly the accounts of the list are configured; otherwise those in the file are. Raises InputError.
        """
        if self.organizations is None:
            chosen = select(self.names, patterns)
        else:
            stated = [name for name in self.names if name in account_list]
            chosen = select([*stated, *(name for name in account_list if name not in self._sections.own)], patterns)
        if len(chosen) > ACCOUNTS_MAX:
            raise InputError("accounts-too-many", f"more than {ACCOUNTS_MAX} accounts", fix="exclude some")
        ids = {**account_list, **self.ids}
        self._check_ids(chosen, ids, account_list)
        found = []
        for name in chosen:
            settings = self._sections.settings(name, ids[name])
            _check_regions(name, settings.regions)
            admin = self._admin_id(name, settings, ids)
            found.append(
                ConfiguredAccount(name=name, account_id=ids[name], settings=settings, admin_account_id=admin,
                        organization_id=organization_id)
            )  # fmt: skip
        return tuple(found)

    @property
    def stated(self) -> dict[str, str | None]:
        """Return the id of each account in the file by name; None where it has none."""
        return {name: self.ids.get(name) for name in self.names}

    def invalid(self, mistakes: Sequence[InputError]) -> SettingsInvalid:
        """Return errors of values as one, each with the line of the key that its message begins with."""
        document = Document(name=self.name, settings=None, root=self._sections.root)
        return _invalid([document.problem(one.message, fix=one.fix, code=one.code) for one in mistakes], self.name)

    def _check_ids(self, chosen: tuple[str, ...], ids: Mapping[str, str], listed: Mapping[str, str]) -> None:
        missing = [name for name in chosen if name not in ids]
        if missing:
            shown = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
            raise InputError("account-id-missing", f"the ids of these accounts are not known: {shown}", fix=_ID_FIX)
        of: dict[str, str] = {}
        for name in chosen:
            account_id, other = ids[name], listed.get(name, ids[name])
            if not is_account_name(name) or not _ID.fullmatch(account_id):
                message = f"the list of accounts is invalid: {one_line(name, 80)} has the id {one_line(account_id, 20)}"
                raise InputError("account-list-invalid", message, fix="an id has 12 digits; leave the account out")
            if account_id != other:
                message = f"accounts.{name}.id: is {account_id}, but the list of accounts has {one_line(other, 20)}"
                raise InputError("account-id-differs", message, fix="correct one of the two")
            if account_id in of:
                message = f"accounts.{name}.id: {of[account_id]} and {name} have the id {account_id}"
                raise InputError("account-id-twice", message, fix="give each account its own id")
            of[account_id] = name

    def _admin_id(self, name: str, settings: AccountSettings, ids: Mapping[str, str]) -> str | None:
        admin = settings.admin_account
        if admin is None or _ID.fullmatch(admin):
            return admin
        if admin not in ids:
            message = f"accounts.{name}.admin_account: the id of {one_line(admin, 60)} is not known"
            fix = "configure it in accounts, name it in the list of accounts, or write its id in quotes"
            raise InputError("admin-account-unknown", message, fix=fix)
        return ids[admin]


def read_configuration(
    content: bytes, *, name: str, structure: type[AccountSettings] = AccountSettings
) -> Configuration:
    """Read a configuration of version 11, or of version 10 as Seven Seconds reads it.

    In version 11, the section of an account is merged into the global one: mappings by key, lists as a whole, and null
    removes. In version 10, a key of an account replaces the global key. `name` is the file's name in messages.
    Raises SettingsInvalid with every problem.
    """
    root, problems = read_root(content, name=name)
    if root is None:
        raise _invalid(problems, name)
    reader = _Reader(root, structure)
    reader.read()
    problems += reader.problems
    if has_errors(problems):
        raise _invalid(problems, name)
    return Configuration(
        name=name, version=root.version, remarks=in_document_order(problems), organizations=reader.organizations,
        ids=reader.ids, names=tuple(root.accounts), _sections=reader.sections,
    )  # fmt: skip


class _Reader:
    """Judges the sections of a root."""

    def __init__(self, root: Root, structure: type[AccountSettings]) -> None:
        self._root = root
        self._kind = type_info(structure)
        self.problems: list[Problem] = []
        self.ids: dict[str, str] = {}
        self.organizations: Organizations | None = None
        translation = Translation(self._kind) if root.version == 10 else None
        shared = translation.section(root.shared, "global") if translation is not None else root.shared
        base = merged(EMPTY, shared, self._kind)
        base.entries.pop("id", None)
        base.keys.pop("id", None)
        own = {}
        self._stated = {"global": shared}
        for name, (_, node) in root.accounts.items():
            path = f"accounts.{name}"
            if translation is None:
                section = node
                own[name] = merged(base, node, self._kind)
            else:
                section = translation.section(node, path)
                own[name] = replaced(base, merged(EMPTY, section, self._kind))
                _without_nulls(own[name], section)
            self._stated[path] = section
        self.problems += translation.problems if translation is not None else []
        self.sections = Sections(root=root, base=base, own=own, structure=structure)

    def read(self) -> None:
        self._read_organizations()
        self._check_placeholders()
        self._read_ids()
        texts = self.sections.texts
        if sum(texts.size(section) for section in self.sections.own.values()) > EFFECTIVE_NODES_MAX:
            message = f"the accounts have more than {EFFECTIVE_NODES_MAX} values together"
            self.problems.append(error(None, "accounts", message, "split the file, or shorten the global section"))
            return
        self._check_settings()

    def _check_settings(self) -> None:
        found: dict[Problem, None] = {}
        invalid = 0
        for name in list(self._root.accounts) or [""]:
            problems = self.sections.problems(name, self.ids.get(name, _ANY_ID))
            found.update(dict.fromkeys(problems))
            invalid += bool(problems)
            if invalid == INVALID_ACCOUNTS_MAX:
                break
        self.problems += found

    def _read_organizations(self) -> None:
        node = self._root.organizations
        if node is None:
            return
        self.organizations, problems, _ = typed(merged(EMPTY, node, type_info(Organizations)), Organizations, {})
        for one in problems:
            self.problems.append(
                replace(one, path=f"organizations.{one.path}", message=f"organizations.{one.message}")
            )  # fmt: skip

    def _check_placeholders(self) -> None:
        for path, section in self._stated.items():
            self.problems += list(islice(placeholders.unknown(section, path), PROBLEMS_MAX))
            if len(self.problems) > PROBLEMS_MAX:
                return

    def _read_ids(self) -> None:
        of: dict[str, str] = {}
        for name, (_, section) in self._root.accounts.items():
            node = section.entries.get("id")
            if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
                continue  # its type is judged with the other settings
            if not _ID.fullmatch(node.value):
                continue
            if node.value in of:
                message = f"{of[node.value]} has the same id"
                self.problems.append(error(node, f"accounts.{name}.id", message, "give each account its own id"))
            of.setdefault(node.value, name)
            self.ids[name] = node.value


def _check_regions(name: str, regions: Sequence[str]) -> None:
    """Raise InputError for a region that is stated twice, and for regions of several partitions."""
    if twice := [one for one in regions if regions.count(one) > 1]:
        fix = "remove one of the two"
        raise InputError("accounts-twice", f"accounts.{name}.regions: {twice[0]} is stated twice", fix=fix)
    if len({partition_of(one) for one in regions}) > 1:
        message = f"accounts.{name}.regions: an account has regions of one partition of AWS, not of several"
        raise InputError("accounts-contradiction", message, fix="configure the account of each partition on its own")


def _without_nulls(section: MappingNode, own: MappingNode) -> None:
    """Remove what the account states as null: in version 10 it replaces the global value too."""
    for name, node in own.entries.items():
        if isinstance(node, ScalarNode) and node.value is None and name in section.entries:
            value = section.entries[name]
            if not isinstance(value, ScalarNode) or value.value is not None:
                del section.entries[name], section.keys[name]


def _invalid(problems: list[Problem], name: str) -> SettingsInvalid:
    ordered = in_document_order(problems)[: PROBLEMS_MAX + 1]
    return SettingsInvalid("settings-invalid", render(ordered, name=name, lines=()), problems=ordered)
