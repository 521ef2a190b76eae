"""Files of the program: plans, their journals and reports, and the locks of accounts."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from whence_aggregator.accounts.plan import PLAN_BYTES_MAX, PlanFile, check_size, decode_plan, encode_plan
from whence_aggregator.accounts.report import ApplyReport
from whence_common.errors import InputError, RoadError, one_line
from whence_common.runtime.files import write_durably

_CONFIGURATION_BYTES_MAX = 4 * 1024 * 1024
_JOURNAL_BYTES_MAX = 64 * 1024 * 1024


def read_bounded(path: Path, bytes_max: int = _CONFIGURATION_BYTES_MAX) -> bytes:
    """Return the content of a file. Raises InputError where it cannot be read, or is too large."""
    try:
        with path.open("rb") as stream:
            content = stream.read(bytes_max + 1)
    except OSError as exc:
        raise InputError("file-unreadable", f"{path} cannot be read: {exc.strerror}", fix="check the path") from exc
    if len(content) > bytes_max:
        raise InputError("file-too-large", f"{path} is larger than {bytes_max} bytes")
    return content


def read_configuration_file(path: Path) -> bytes:
    """Return the bytes of a configuration. Raises InputError."""
    if not path.exists():
        fix = "write it, or name another with --config or WHENCE_ACCOUNTS_CONFIG; `import` prints one of an account"
        raise InputError("file-unreadable", f"there is no configuration {path}", fix=fix)
    return read_bounded(path)


def check_output(path: Path, *, read: Path) -> None:
    """Raise WhenceError for a path at which no file can be written, or that is the file that is read.

    It is checked before accounts are planned, which takes minutes, and again when the file is written.
    """
    if path.exists() and read.exists() and path.samefile(read):
        raise InputError("file-same", f"{path} is the configuration: it is not overwritten", fix="write another file")
    _check_place(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        reason = "Permission denied" if path.parent.is_dir() else "there is no such folder"
        raise RoadError("file-unwritable", f"{path} cannot be written: {reason}", fix="check the folder")


def _check_place(path: Path) -> None:
    """Raise RoadError for what is no regular file, such as a link or /dev/null: it would be replaced."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        what = "Is a directory" if stat.S_ISDIR(mode) else "a link" if stat.S_ISLNK(mode) else "not a regular file"
        fix = "name the file itself" if stat.S_ISLNK(mode) else "name another file"
        raise RoadError("file-unwritable", f"{path} cannot be written: {what}", fix=fix)


def write_file(path: Path, content: bytes) -> None:
    """Replace a file that only its owner reads. Raises RoadError."""
    _check_place(path)
    try:
        write_durably(path, content, mode=0o600)
    except OSError as exc:
        message = f"{path} cannot be written: {exc.strerror}"
        raise RoadError("file-unwritable", message, fix="check the folder and the free space") from exc


def write_plan(path: Path, plan: PlanFile) -> None:
    """Raises InputError for a plan that is too large, RoadError for a place that cannot be written."""
    content = encode_plan(plan)
    check_size(plan, content)
    write_file(path, content)


def read_plan(path: Path) -> PlanFile:
    """Return the plan in a file. Raises InputError."""
    return decode_plan(read_bounded(path, PLAN_BYTES_MAX), name=str(path))


def report_path(plan: Path) -> Path:
    return plan.with_name(f"{plan.name}.report.json")


def journal_path(plan: Path) -> Path:
    return plan.with_name(f"{plan.name}.journal")


def write_report(path: Path, report: ApplyReport) -> None:
    write_file(path, json.dumps(msgspec.to_builtins(report), indent=1, ensure_ascii=False).encode() + b"\n")


def read_report(path: Path) -> ApplyReport:
    """Return the report in a file. Raises InputError."""
    if not path.exists():
        fix = f"apply the plan first: whence-accounts apply {str(path).removesuffix('.report.json')}"
        raise InputError("file-unreadable", f"there is no report {path}", fix=fix)
    try:
        return msgspec.json.decode(read_bounded(path, PLAN_BYTES_MAX), type=ApplyReport)
    except (msgspec.MsgspecError, RecursionError) as exc:
        fix = "apply the plan again"
        message = f"{path} is not the report of an apply: {one_line(str(exc))}"
        raise InputError("report-invalid", message, fix=fix) from exc


class FileJournal:
    """The journal beside a plan: one line a creation, `{"plan", "account", "address"}`, synced before its call."""

    def __init__(self, path: Path, plan_digest: str) -> None:
        """Open a journal. Raises InputError for one that cannot be read; lines of other plans are ignored."""
        self._path = path
        self._plan = plan_digest
        self._begun: set[tuple[str, str]] = set()
        if path.exists():
            for line in read_bounded(path, _JOURNAL_BYTES_MAX).splitlines():
                try:
                    one = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # the line that was being written when the machine stopped: its call was not made
                if isinstance(one, Mapping) and one.get("plan") == plan_digest:
                    self._begun.add((str(one.get("account")), str(one.get("address"))))

    def begin(self, account_id: str, address: str) -> None:
        if (account_id, address) in self._begun:
            return
        line = json.dumps({"plan": self._plan, "account": account_id, "address": address}) + "\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                _write_whole(descriptor, b"\n" + line.encode())  # a line of its own, also after one that was cut off
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as exc:
            message = f"the journal {self._path} cannot be written: {exc.strerror}"
            raise RoadError("journal-unwritable", message, fix="check the folder and the free space") from exc
        self._begun.add((account_id, address))

    def has_begun(self, account_id: str, address: str) -> bool:
        return (account_id, address) in self._begun


def _write_whole(descriptor: int, content: bytes) -> None:
    """Write all bytes: a disk that becomes full takes some of them, without an error, and refuses the next write."""
    while content:
        content = content[os.write(descriptor, content) :]


def state_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder for locks (XDG Base Directory Specification). Raises InputError without a home."""
    for name, rest in (("XDG_STATE_HOME", ()), ("HOME", (".local", "state"))):
        found = environment.get(name, "")
        if Path(found).is_absolute():
            return Path(found, *rest, "whence", "accounts")
    raise InputError("home-unset", "there is no folder for the locks of accounts", fix="set HOME or XDG_STATE_HOME")


@contextmanager
def account_lock(folder: Path, account_id: str) -> Iterator[None]:
    """Be the only process of this machine that writes an account. Raises RoadError if another holds the lock.

    The kernel releases the lock with the process. Machines do not see each other's locks: what protects accounts from
    a second machine is that every change is made against the state that the plan records.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(
            folder / f"{account_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as exc:
        message = f"the lock of account {account_id} cannot be taken in {folder}: {exc.strerror}"
        raise RoadError("lock-unusable", message, fix="set XDG_STATE_HOME to a folder of your own") from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            message = f"another whence-accounts writes account {account_id}"
            raise RoadError(
                "account-locked", message, fix="wait until it has ended, then apply the plan again"
            ) from exc
        yield
    finally:
        os.close(descriptor)
