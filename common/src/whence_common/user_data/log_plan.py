"""The destination of the application's log: Taupage's logging keys, mapped to the Engine's log drivers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from whence_common.errors import one_line
from whence_common.user_data.host import LOG_FILES_MAX
from whence_common.user_data.section import Section

APPLICATION_LOG = "/var/log/application.log"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?\Z")
_PROGRAM_CHARACTERS_MAX = 32
"""The longest tag in RFC 3164."""
_PROGRAM = re.compile(r"[A-Za-z0-9_.-]{1,32}\Z")
_GROUP = re.compile(r"[A-Za-z0-9_/.#-]{1,512}\Z")
_SHIPPED_BY_PLATFORM = ("s3", "scalyr", "scalyr_s3")
_DESTINATIONS = ("s3", "rsyslog", "scalyr", "scalyr_s3", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlan:
    """`driver` None means the platform's. `size_bytes` and `files` limit the log on disk, if the driver has one."""

    driver: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    size_bytes: int | None = None
    files: int | None = None
    aws_metadata: bool = False
    """The agent adds account and region to the tag."""
    log_group: str | None = None


def read_log_plan(root: Section, application_id: str) -> LogPlan:
    """Return the log plan of all logging keys. Reports keys whose logs the agent does not ship."""
    size, files = root.size("application_logrotate_size"), _files(root)
    metadata = root.soft_flag("rsyslog_aws_metadata")
    legacy = root.text("rsyslog_application_log_format")
    group = _log_group(root)
    logging = root.section("logging")
    plan = LogPlan(size_bytes=size, files=files, aws_metadata=metadata, log_group=group)
    if logging is None:
        return plan
    host, protocol = logging.text("rsyslog_host"), logging.choice("rsyslog_protocol", "tcp", "udp") or "tcp"
    port = logging.integer("rsyslog_port", least=1, most=65535) or 514
    program = logging.text("rsyslog_program") or application_id[:_PROGRAM_CHARACTERS_MAX]
    general = logging.choice("log_destination", *_DESTINATIONS)
    destination = logging.choice("applog_destination", *_DESTINATIONS) or general
    if destination in _SHIPPED_BY_PLATFORM:
        name = "applog_destination" if logging.get("applog_destination") is not None else "log_destination"
        message = f"the agent does not ship logs to {destination}; the platform's log_driver is used"
        logging.warning(name, "log-destination-mapped", message, "see log_driver in the platform's settings")
    if destination != "rsyslog" or group is not None:
        return plan
    if host is None or not _HOST.match(host):
        message = "rsyslog needs rsyslog_host, a host name; the platform's log_driver is used"
        logging.warning("rsyslog_host", "rsyslog-host-missing", message, "add the host's name")
        return plan
    if not _PROGRAM.match(program):
        message = f"{one_line(program, 40)!r} is not a valid program name"
        logging.error("rsyslog_program", "rsyslog-program-malformed", message, "use letters, digits, _ . and -")
    options = {
        "syslog-address": f"{protocol}://{host}:{port}",
        "syslog-format": "rfc3164" if legacy == "legacy" else "rfc5424",
        "tag": program,
    }
    return LogPlan(driver="syslog", options=options, aws_metadata=metadata)


def _files(root: Section) -> int | None:
    """Return the number of log files. The Engine has at least one, which it writes to."""
    files = root.integer("application_logrotate_rotate", least=0, most=LOG_FILES_MAX)
    if files == 0:
        message = "the Engine has at least one log file; it is truncated when it is full"
        root.warning("application_logrotate_rotate", "log-rotate-least", message, "write 1")
        return 1
    return files


def _log_group(root: Section) -> str | None:
    section = root.section("cloudwatch_logs")
    if section is None:
        return None
    found = None
    for path in section.node.entries:
        group = section.text(path)
        if group is not None and not _GROUP.match(group):
            section.warning(path, "log-group-malformed", "the value is not a log group's name", "copy its name")
        elif path == APPLICATION_LOG:
            found = group
        else:
            section.warning(
                path, "log-file-not-shipped", f"{one_line(path, 60)} is not shipped: host files stay on the machine",
                f"log to standard output, and ship {APPLICATION_LOG}",
            )  # fmt: skip
    return found
