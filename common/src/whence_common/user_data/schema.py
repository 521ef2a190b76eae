"""Every key of the Taupage schema and what becomes of it here (reference user-data.md, section 4).

`kind` is the shape a value must have; `acted` says whether this version does something with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "flag", "integer", "list", "mapping", "any"]
Fate = Literal["acted", "pending", "retired", "platform", "kept"]
"""acted: done. pending: accepted, not acted on yet. retired: does nothing any more. platform: ours to set.
kept: only ever for the application to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    name: str
    kind: Kind
    fate: Fate
    summary: str
    required: bool = False


def _keys(fate: Fate, kind: Kind, **summaries: str) -> list[Key]:
    return [Key(name=name, kind=kind, fate=fate, summary=text) for name, text in summaries.items()]


_ALL = [
    Key(
        name="application_id",
        kind="text",
        fate="acted",
        required=True,
        summary="Id in the application registry.",
    ),
    Key(
        name="application_version",
        kind="text",
        fate="acted",
        required=True,
        summary="Version of the application.",
    ),
    Key(name="runtime", kind="text", fate="acted", required=True, summary="Only Docker."),
    Key(
        name="source",
        kind="text",
        fate="acted",
        required=True,
        summary="Image: registry/path:tag or @digest.",
    ),
    *_keys(
        "acted",
        "mapping",
        ports="Host port to container port; /tcp or /udp may follow either.",
        environment="Variables for the container; scalars only, aws:kms: values are decrypted.",
    ),
    *_keys(
        "acted",
        "text",
        mint_bucket="S3 bucket with the application's OAuth credentials.",
        health_check_path="GET path.",
    ),
    *_keys("acted", "integer", health_check_port="Host port to ask.", health_check_timeout_seconds="Default 60."),
    *_keys("acted", "flag", root="Run as the image's own user instead of uid 999.", read_only="Read-only root."),
    *_keys(
        "pending",
        "text",
        deployment_id="Kept as provenance.",
        hostname="Host name inside.",
        networking="Network mode.",
    ),
    *_keys(
        "pending",
        "text",
        shm_size="Size of /dev/shm.",
        shutdown="When to power off.",
        tokeninfo_url="Token info.",
    ),
    *_keys("pending", "list", capabilities_add="Linux capabilities.", capabilities_drop="Linux capabilities."),
    *_keys(
        "pending",
        "flag",
        privileged="All capabilities; needs platform policy.",
        docker_daemon_access="Engine socket; needs platform policy.",
        mount_var_log="Host logs, read-only.",
        mount_custom_log="Custom logs.",
        mount_certs="Host CA certificates.",
        keep_instance_users="Keep the image's users.",
        enhanced_cloudwatch_metrics="Memory and disk metrics.",
        rsyslog_aws_metadata="Account and region on each log line.",
    ),
    *_keys(
        "pending",
        "mapping",
        dockercfg="Registry sign-in.",
        volumes="EBS volumes and RAID.",
        mounts="File systems to mount.",
        healthcheck="Load balancer to wait for.",
        notify_cfn="CloudFormation resource to signal.",
        logging="Where logs go.",
        cloudwatch_logs="Files to log groups.",
        sysctl="Kernel settings.",
        sysfs="Kernel settings.",
    ),
    *_keys("pending", "any", ssh_ports="Ports of sshd.", rsyslog_max_message_size="Message size."),
    *_keys("pending", "text", rsyslog_application_log_format="Log line format."),
    *_keys(
        "pending",
        "any",
        application_logrotate_size="Log rotation.",
        application_logrotate_interval="Log rotation.",
        application_logrotate_rotate="Log rotation.",
        customlog_logrotate_size="Log rotation.",
        customlog_logrotate_interval="Log rotation.",
        customlog_logrotate_rotate="Log rotation.",
    ),
    *_keys(
        "retired",
        "any",
        local_planb_tokeninfo="The local token info daemon is gone.",
        local_planb_tokeninfo_introspection="The local token info daemon is gone.",
        local_planb_tokeninfo_lightstep_token="The local token info daemon is gone.",  # noqa: S106 - a key's name
        upstream_tokeninfo_url="The local token info daemon is gone.",
        access_token_url="The local token info daemon is gone.",  # noqa: S106 - a key's name
        openid_provider_configuration_url="The local token info daemon is gone.",
        revocation_provider_url="The local token info daemon is gone.",
        tokeninfo_business_partners="The local token info daemon is gone.",
        scalyr_account_key="No Scalyr agent runs.",
        scalyr_region="No Scalyr agent runs.",
        scalyr_application_log_parser="No Scalyr agent runs.",
        scalyr_custom_log_parser="No Scalyr agent runs.",
        application_logrotate_disable_compress="Compression is always on.",
        application_logrotate_delaycompress="Compression is never delayed.",
        application_logrotate_copytruncate="Dead since 2019.",
        ssh_gateway_ports="Gateway ports stay closed.",
        nat_gateways="Routing belongs to the VPC.",
        etcd_discovery_domain="No etcd proxy runs.",
        xray_enabled="No X-Ray daemon runs.",
        opa_enabled="No policy agent runs.",
        opa_host_url="No policy agent runs.",
        opa_service_url="No policy agent runs.",
        opa_iam_role="No policy agent runs.",
        opa_service_name="No policy agent runs.",
        newrelic_account_key="No New Relic agent runs.",
        appdynamics_application="No AppDynamics agent runs.",
        appdynamics_account_name="No AppDynamics agent runs.",
        appdynamics_account_access_key="No AppDynamics agent runs.",
        appdynamics_account_globalname="No AppDynamics agent runs.",
        appdynamics_enable_logging="No AppDynamics agent runs.",
        appdynamics_machineagent_tiername="No AppDynamics agent runs.",
        appdynamics_include_scala_classes="No AppDynamics agent runs.",
        nodejs_disable_snapshots="No AppDynamics agent runs.",
    ),
    *_keys(
        "platform",
        "any",
        instance_logs_url="Audit is the platform's.",
        logsink_username="Audit is the platform's.",
        logsink_password="Audit is the platform's.",  # noqa: S106 - a key's name
    ),
    *_keys(
        "kept",
        "any",
        oauth_access_token_url="For the application.",  # noqa: S106 - a key's name
        token_service_url="For the application.",  # noqa: S106 - a key's name
    ),
]

KEYS: dict[str, Key] = {key.name: key for key in _ALL}

_JSON_TYPES: dict[Kind, object] = {
    "text": {"type": ["string", "number"]},
    "flag": {"type": "boolean"},
    "integer": {"type": "integer"},
    "list": {"type": "array"},
    "mapping": {"type": "object"},
    "any": {},
}


def json_schema() -> dict[str, object]:
    """Give the schema as JSON Schema 2020-12, for editors. Unknown keys are allowed: applications read their own."""
    properties: dict[str, object] = {}
    for key in _ALL:
        shape = _JSON_TYPES[key.kind]
        assert isinstance(shape, dict)
        properties[key.name] = {
            **shape,
            "description": key.summary,
            "deprecated": key.fate in ("retired", "platform"),
        }
    properties["runtime"] = {"const": "Docker", "description": KEYS["runtime"].summary}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "User data of an instance booted by whence-agent",
        "type": "object",
        "required": [key.name for key in _ALL if key.required],
        "properties": properties,
        "additionalProperties": True,
    }
