"""The keys that configure the machine: storage, logs, host, daemons, platform."""

from __future__ import annotations

from whence_common.user_data.schema import Key, rows

_SCALYR = "There is no Scalyr agent; the platform ships logs by its log_driver."
_APPDYNAMICS = "There is no AppDynamics agent; install it in the image."
_OPA = "There is no policy agent; run it as a sidecar under containers."
_HOST_LOGS = "Host logs stay in the journal; the AMI ships them."
_FLUENTD = "There is no Fluentd; the Engine's log driver replaces it."

_STORAGE = [
    *rows("mapping", "acted",
        ("volumes", "", "EBS volumes and RAID arrays.", "The same."),
        ("volumes.ebs", "", "Device to the Name tag of a volume; attached within the boot's deadline.",
         "Ten attempts, two minutes apart.", "bounded, and a missing volume is named"),
        ("volumes.raid", "", "Array device to level and devices.", "The same."),
        ("volumes.raid.*", "", "One array.", "The same."),
        ("mounts", "", "Container path to its mount, at most 50; on the host below /mounts.", "The same."),
        ("mounts.*", "", "One mount; without partition, a directory of the host.", "The same.")),
    Key(name="volumes.raid.*.level", kind="text", fate="acted", required=True,
        does="0, 1, 4, 5, 6 or 10, or mdadm's names for them.",
        stock="Passed unchanged."),
    Key(name="volumes.raid.*.devices", kind="list", fate="acted", required=True,
        does="From two to 128 devices; at least four for level 6.",
        stock="The same."),
    *rows("text", "acted",
        ("mounts.*.partition", "", "Device; none for tmpfs.", "The same."),
        ("mounts.*.filesystem", "ext4", "ext2, ext3, ext4, xfs or tmpfs.", "Any installed mkfs.",
         "user data must not choose a program"),
        ("mounts.*.options", "", "Harmless mount options that the file system supports.",
         "Passed unchanged.",
         "suid and dev stay off")),
    *rows("flag", "acted",
        ("mounts.*.erase_on_boot", "the volume's tag", "true: format at every boot; false: never; absent: once, when "
         "the volume has the tag Taupage:erase-on-boot.", "The same.")),
]  # fmt: skip

_LOGGING = [
    *rows("mapping", "mapped",
        ("logging", "", "Destination of the application's log; by default the platform's log driver.",
         "Fluentd to S3."),
        ("cloudwatch_logs", "", "/var/log/application.log to a log group, by the awslogs driver.",
         "An agent shipped any file.", "host files stay in the journal")),
    *rows("text", "mapped",
        ("logging.log_destination", "", "rsyslog: the syslog driver; s3 and scalyr: the platform's log driver.",
         "By Fluentd."),
        ("logging.applog_destination", "", "The same, only for the application's log.", "By Fluentd."),
        ("logging.rsyslog_host", "", "Host that the syslog driver sends to.", "By Fluentd."),
        ("logging.rsyslog_protocol", "tcp", "tcp or udp.", "By Fluentd."),
        ("logging.rsyslog_program", "the application's id", "Tag of each line.", "fluentd."),
        ("rsyslog_application_log_format", "", "legacy: RFC 3164 lines; else RFC 5424.", "A template.",
         "the driver has two formats")),
    *rows("integer", "mapped", ("logging.rsyslog_port", "514", "Port of rsyslog_host.", "The same.")),
    *rows("size", "mapped",
        ("application_logrotate_size", "64m", "Size at which the container's log is rotated.", "256M of a file."),
        ("customlog_logrotate_size", "256M", "Size at which /var/log-custom is rotated.", "The same.")),
    *rows("integer", "mapped",
        ("application_logrotate_rotate", "4", "Number of log files; the Engine has at least one, so 0 means 1.",
         "The same.", "the Engine counts the file that it writes to"),
        ("customlog_logrotate_rotate", "5", "Number of rotated logs.", "The same.")),
    *rows("text", "mapped",
        ("customlog_logrotate_interval", "daily", "hourly, daily, weekly, monthly or yearly.", "The same.")),
    *rows("soft-flag", "mapped",
        ("rsyslog_aws_metadata", "false", "Account and region in the tag of each line.", "Any value enabled it.",
         "false means false")),
    *rows("any", "retired",
        ("application_logrotate_interval", "", "The Engine rotates by size.", "weekly."),
        ("rsyslog_max_message_size", "", "The syslog driver has no such setting.", "rsyslog's setting."),
        ("application_logrotate_disable_compress", "", "The Engine decides.", "logrotate's setting."),
        ("application_logrotate_delaycompress", "", "The Engine decides.", "logrotate's setting."),
        ("application_logrotate_copytruncate", "", "Without effect since 2019.", "Nothing."),
        ("logging.fluentd_enabled", "", _FLUENTD, "Ran td-agent."),
        ("logging.fluentd_loglevel", "", _FLUENTD, "Its level."),
        ("logging.syslog_destination", "", _HOST_LOGS, "By Fluentd."),
        ("logging.authlog_destination", "", _HOST_LOGS, "By Fluentd."),
        ("logging.customlog_destination", "", _HOST_LOGS, "By Fluentd."),
        ("logging.applog_filter_exclude", "", "Lines are not filtered; filter in the log store.", "Dropped lines."),
        ("logging.customlog_filter_exclude", "", "Lines are not filtered; filter in the log store.",
         "Dropped lines."),
        ("logging.s3_bucket", "", _FLUENTD, "Fluentd's bucket."),
        ("logging.s3_region", "", _FLUENTD, "Its region."),
        ("logging.s3_timekey", "", _FLUENTD, "Its interval."),
        ("logging.s3_raw_log_format", "", _FLUENTD, "Its format."),
        ("logging.s3_acl", "", _FLUENTD, "Its ACL."),
        ("logging.rsyslog_severity", "", "The driver sets the severity of each stream.", "By Fluentd."),
        ("logging.rsyslog_hostname", "", "The host's own name is sent.", "By Fluentd."),
        *((f"{prefix}{name}", "", _SCALYR, "The Scalyr agent's.") for prefix in ("", "logging.") for name in (
            "scalyr_account_key", "scalyr_region", "scalyr_application_log_parser", "scalyr_custom_log_parser")),
        *((f"logging.{name}", "", _SCALYR, "The Scalyr agent's.") for name in (
            "scalyr_agent_enabled", "use_scalyr_agent_all", "use_scalyr_agent_applog", "use_scalyr_agent_customlog",
            "use_scalyr_agent_authlog", "use_scalyr_agent_syslog", "scalyr_agent_applog_sampling",
            "scalyr_agent_customlog_sampling", "scalyr_agent_authlog_sampling", "scalyr_agent_syslog_sampling"))),
]  # fmt: skip

_HOST = [
    *rows("mapping", "acted",
        ("sysctl", "", "Kernel settings that the platform allows, with values that the kernel accepts.",
         "Any; a failure ended the boot.",
         "some settings disable the machine's protection"),
        ("sysfs", "", "Only /sys/kernel/mm/transparent_hugepage/enabled.", "The same.")),
    *rows("any", "mapped", ("ssh_ports", "[22]", "Ports of sshd.", "The same.")),
    *rows("soft-flag", "mapped",
        ("keep_instance_users", "false", "true keeps the authorized_keys of the platform's instance_users.",
         "Exactly true kept ubuntu's."),
        ("enhanced_cloudwatch_metrics", "false",
         "Memory and disk usage every five minutes; needs cloudwatch:PutMetricData.", "The same, by a cron job.")),
    *rows("any", "retired",
        ("ssh_gateway_ports", "", "Gateway ports stay closed; forward from the client.", "sshd's GatewayPorts."),
        ("nat_gateways", "", "Routes belong in the VPC's route tables.", "Policy routing for HTTPS.")),
]  # fmt: skip

_DAEMONS = [
    *rows("any", "retired",
        ("etcd_discovery_domain", "", "There is no etcd proxy; the configuration is not published.", "An etcd proxy."),
        ("xray_enabled", "", "There is no X-Ray daemon; run it as a sidecar under containers.", "A daemon."),
        *((name, "", _OPA, "An agent's setting.") for name in (
            "opa_enabled", "opa_host_url", "opa_service_url", "opa_iam_role", "opa_service_name")),
        ("newrelic_account_key", "", "There is no New Relic agent; install it in the image.", "Mounts."),
        *((name, "", _APPDYNAMICS, "An agent's setting.") for name in (
            "appdynamics_application", "appdynamics_account_name", "appdynamics_account_access_key",
            "appdynamics_account_globalname", "appdynamics_enable_logging", "appdynamics_machineagent_tiername",
            "appdynamics_include_scala_classes", "nodejs_disable_snapshots"))),
]  # fmt: skip

_PLATFORM = rows("any", "platform",
    ("instance_logs_url", "", "The platform configures the audit trail: statements go to aggregator_url.",
     "User data could switch audit off.", "the audited must not be able to stop the audit"),
    ("logsink_username", "", "Statements are signed; there is no shared password.", "One for the fleet."),
    ("logsink_password", "", "Statements are signed; there is no shared password.", "One for the fleet."))  # fmt: skip

MACHINE_KEYS: list[Key] = [*_STORAGE, *_LOGGING, *_HOST, *_DAEMONS, *_PLATFORM]
