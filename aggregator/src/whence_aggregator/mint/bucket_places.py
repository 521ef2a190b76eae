"""Where buckets of credentials are: account, region, and the role that writes, by rows of patterns. Pure.

A bucket that no row matches is not written, so that a team cannot make mint write to a bucket outside the
organisation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from whence_aggregator.mint.ports import BucketUnsafe
from whence_common.errors import InputError, one_line

_ROWS_MAX = 1_000
_GROUPS = {
    "prefix": "[a-z0-9]{1,40}",
    "account_id": "[0-9]{12}",
    "region": "[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}",
}
"""What a placeholder matches. A prefix has no dash: by STUPS's convention it ends at the first one."""
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
"""S3 takes no bucket whose name is an IP address."""
_LITERAL = re.compile(r"[a-z0-9.-]*")
_ACCOUNT = re.compile(_GROUPS["account_id"])
_REGION = re.compile(_GROUPS["region"])
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/[\w+=,.@/-]{1,512}")
_EXAMPLE = {"account_id": "123456789012", "region": "eu-west-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRow:
    """A row of the settings: buckets whose names match `pattern`."""

    pattern: str
    """A name; `{account_id}`, `{region}` and `{prefix}`, which is anything without a dash, stand for parts of it."""
    role: str = ""
    """ARN of the role that writes; `{account_id}` is replaced. Empty: mint's own role writes."""
    external_id: str | None = field(default=None, repr=False)
    account_id: str = ""
    """Of a pattern without `{account_id}`."""
    region: str = ""
    """Of a pattern without `{region}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPlace:
    """Where a bucket is, and who writes it. `role` is empty if mint's own role writes."""

    bucket: str
    account_id: str
    region: str
    role: str
    external_id: str | None = field(repr=False)

    @property
    def is_written_from_elsewhere(self) -> bool:
        """Whether the role may be of another account than the bucket."""
        found = _ROLE.fullmatch(self.role)
        return found is None or found[1] != self.account_id


@dataclass(frozen=True, slots=True)
class _CompiledRow:
    stated: BucketRow
    name: re.Pattern[str]


class BucketPlaces:
    """The rows of the settings. The first that matches a bucket counts.

    `accounts` are those whose buckets may be written. Raises InputError for a row that can match no bucket, or whose
    matches have no account, region or role.
    """

    def __init__(self, rows: Sequence[BucketRow], *, accounts: frozenset[str]) -> None:
        if len(rows) > _ROWS_MAX:
            raise InputError("mint-bucket-rows", f"more than {_ROWS_MAX} rows of buckets", fix="write patterns")
        self._rows = [_compiled(row, f"buckets[{number}]") for number, row in enumerate(rows)]
        self._accounts = accounts

    def of(self, bucket: str) -> BucketPlace:
        """Return the place of a bucket. Raises BucketUnsafe for one that may not be written, with what to write."""
        shown = one_line(bucket, 80)
        if bucket.startswith("gs://"):
            fix = "remove it from s3_buckets: only buckets of S3 are written"
            raise BucketUnsafe("mint-bucket-google", f"{shown} is a bucket of Google Cloud Storage", fix=fix)
        if _BUCKET.fullmatch(bucket) is None or _ADDRESS.fullmatch(bucket) is not None:
            fix = "correct it in s3_buckets: write the bucket's name, without s3:// and without a key"
            raise BucketUnsafe("mint-bucket-name", f"{shown} is not the name of a bucket", fix=fix)
        place = next(self._matches(bucket), None)
        if place is None:
            fix = f"name one of the buckets that mint's settings know ({self._known()}), or add a row for it there"
            raise BucketUnsafe("mint-bucket-unknown", f"no row of mint's settings matches the bucket {shown}", fix=fix)
        if place.account_id not in self._accounts:
            message = f"the bucket {shown} is of the account {place.account_id}, whose buckets may not be written"
            fix = "name a bucket of an account of the organisation, or add the account to mint's settings"
            raise BucketUnsafe("mint-bucket-account", message, fix=fix)
        return place

    def _matches(self, bucket: str) -> Iterator[BucketPlace]:
        for row in self._rows:
            found = row.name.fullmatch(bucket)
            if found is None:
                continue
            stated, parts = row.stated, found.groupdict()
            account_id = parts.get("account_id", stated.account_id)
            yield BucketPlace(
                bucket=bucket, account_id=account_id, region=parts.get("region", stated.region),
                role=stated.role.replace("{account_id}", account_id), external_id=stated.external_id,
            )  # fmt: skip

    def _known(self) -> str:
        patterns = [row.stated.pattern for row in self._rows[:5]]
        return ", ".join(patterns) + (", …" if len(self._rows) > len(patterns) else "") or "none"


def _compiled(row: BucketRow, path: str) -> _CompiledRow:
    names = _PLACEHOLDER.findall(row.pattern)
    for name, stated, form in (("account_id", row.account_id, _ACCOUNT), ("region", row.region, _REGION)):
        if (name in names) == bool(stated):
            raise _invalid(f"{path}: {name} is stated twice or not at all", f"write {{{name}}} in pattern, or {name}")
        if stated and form.fullmatch(stated) is None:
            raise _invalid(f"{path}.{name}: {one_line(stated, 60)} is invalid", f"write one such as {_EXAMPLE[name]}")
    example = row.role.replace("{account_id}", row.account_id or _EXAMPLE["account_id"])
    if row.role and _ROLE.fullmatch(example) is None:
        fix = "write arn:aws:iam::{account_id}:role/NAME"
        raise _invalid(f"{path}.role: {one_line(row.role, 120)} is not the ARN of a role", fix)
    if row.external_id is not None and not row.role:
        raise _invalid(f"{path}: an external id is stated without a role", "add role, or remove the external id")
    return _CompiledRow(row, _expression(row.pattern, names, f"{path}.pattern"))


def _expression(pattern: str, names: Sequence[str], path: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern; `names` are its placeholders."""
    shown = one_line(pattern, 120)
    unknown = [name for name in names if name not in _GROUPS]
    if unknown or len(set(names)) != len(names):
        fix = "use {prefix}, {account_id} and {region}, each once"
        raise _invalid(f"{path}: {shown} has placeholders that are unknown or repeated", fix)
    literals = _PLACEHOLDER.split(pattern)[::2]
    if not pattern or not all(_LITERAL.fullmatch(one) for one in literals):
        fix = "use lower-case letters, digits, dots and dashes, and placeholders; * is none"
        raise _invalid(f"{path}: {shown} matches no name of a bucket", fix)
    if any(not one for one in literals[1:-1]):
        raise _invalid(f"{path}: {shown} has placeholders without text between them", "write a dash between them")
    groups = [f"(?P<{name}>{_GROUPS[name]})" for name in names]
    parts = [re.escape(one) for one in literals]
    return re.compile("".join(part for pair in zip(parts, [*groups, ""], strict=True) for part in pair))


def _invalid(message: str, fix: str) -> InputError:
    return InputError("mint-bucket-row", message, fix=fix)
