"""The keys that define what runs: identity, image, container, credentials, health."""

from __future__ import annotations

from whence_common.user_data.schema import Key, rows

_SAFER = "an unsafe grant needs the platform's permission"
_GONE_PLANB = "There is no local token info daemon; set TOKENINFO_URL in environment."

_IDENTITY = [
    Key(name="application_id", kind="text", fate="acted", required=True,
        does="Names the application: APPLICATION_ID, the mint prefix, every report.",
        stock="APPLICATION_ID; the text None when missing.", why="a report must name its application"),
    Key(name="application_version", kind="text", fate="acted", required=True,
        does="APPLICATION_VERSION and every report; a warning if it differs from the image's tag.",
        stock="APPLICATION_VERSION."),
    Key(name="runtime", kind="text", fate="acted", required=True, does="Only Docker.", stock="Only Docker."),
    Key(name="source", kind="text", fate="acted", required=True,
        does="Resolved to a digest once; pulled, run and reported by digest. Mutable tags are refused.",
        stock="Split at the first colon; resolved again by docker run after the check.",
        why="a tag may change between two reads; ports and digests are supported"),
    *rows("text", "acted", ("deployment_id", "", "Reported as provenance.", "For token info tracing only.")),
    *rows("mapping", "mapped",
        ("dockercfg", "", "Registry logins, in memory only; entries by host or below auths, YAML or JSON text; auth "
         "may be aws:kms:.",
         "Written to root's ~/.dockercfg.", "no password on disk")),
    *rows("text", "mapped",
        ("dockercfg.*.auth", "", "user:password in base64, or a secret reference to it.", "Written unchanged."),
        ("dockercfg.*.username", "", "With password: Docker's alternative to auth.", ""),
        ("dockercfg.*.password", "", "With username: Docker's alternative to auth.", ""),
        ("dockercfg.*.identitytoken", "", "Docker's token form.", ""),
        ("dockercfg.*.email", "", "Ignored, as by the Engine.", "Written unchanged.")),
    Key(name="dockercfg.*", kind="mapping", fate="mapped", does="One registry's login.", stock="The same."),
]  # fmt: skip

_OPTIONS = [
    *rows("mapping", "acted",
        ("ports", "", "Host port to container port; /tcp or /udp may follow either; no duplicate and not sshd's port.",
         "Addresses and ranges unchecked.",
         "everything is checked before anything starts"),
        ("environment", "", "Variables; scalars only, rendered as by Taupage; secret references are validated offline "
         "and resolved; at most 128 KiB per variable.",
         "Rendered by Python: True, False, None."),
        ("ulimits", "", "Limits by name: a number, or {soft, hard}; -1 is unlimited; nofile up to fs.nr_open.", "")),
    *rows("list", "acted",
        ("capabilities_add", "", "Capabilities without CAP_ that the platform allows.", "Passed unchanged.",
         _SAFER),
        ("capabilities_drop", "", "Capabilities without CAP_.", "Passed unchanged."),
        ("command", "", "Arguments instead of the image's command.", "")),
    *rows("text", "acted",
        ("hostname", "", "Host name in the container, at most 64 characters.", "The same."),
        ("networking", "bridge", "bridge, none or container:NAME; host needs allow_host_network.",
         "Passed unchanged."),
        ("user", "999 and the application's group", "uid:gid to run as; neither may be 0.", ""),
        ("cpus", "", "Number of processors, such as 1.5; all of them if the machine has fewer.", ""),
        ("gpus", "", "all, or the number of GPUs, by the Engine's device request.",
         "nvidia-docker if /dev/nvidia* exists.", "explicit instead of guessed")),
    *rows("flag", "acted",
        ("root", "false", "The image's own user instead of uid 999.", "The same, with gid 0 otherwise.",
         "uid and gid are both set"),
        ("privileged", "false", "All capabilities; needs allow_privileged.", "Always granted.", _SAFER),
        ("read_only", "false", "Read-only root; /tmp stays writable, in memory or by mounts.", "Without a /tmp.",
         "most programs need /tmp"),
        ("mount_var_log", "false", "The host's /var/log at /var/log-host, read-only.", "The same."),
        ("mount_custom_log", "false", "/var/log-custom at /var/log, writable.", "The same."),
        ("mount_certs", "false", "The host's /etc/ssl/certs, read-only.", "The same."),
        ("init", "false", "A small init reaps processes and forwards signals.", ""),
        ("no_new_privileges", "true", "Set-uid programs gain no privileges.", "")),
    *rows("flag", "mapped",
        ("docker_daemon_access", "false", "The Engine's socket; needs allow_engine_socket.",
         "Socket, client and eight libraries.", "the socket equals root; clients belong in the image")),
    *rows("size", "acted",
        ("shm_size", "64m", "Size of /dev/shm.", "The same."),
        ("memory", "", "Memory limit, at least 6m; no additional swap.", "")),
    *rows("integer", "acted",
        ("pids_limit", "4096", "Largest number of processes and threads.", ""),
        ("stop_timeout", "30", "Seconds between SIGTERM and SIGKILL.", "Docker's 10.", "draining takes longer")),
]  # fmt: skip

_SIDECAR_KEYS = (
    "ports", "environment", "ulimits", "capabilities_add", "capabilities_drop", "command", "hostname", "networking",
    "user", "cpus", "gpus", "root", "privileged", "read_only", "init", "no_new_privileges", "shm_size", "memory",
    "pids_limit", "stop_timeout", "mount_var_log", "mount_custom_log", "mount_certs", "docker_daemon_access",
)  # fmt: skip

_SIDECARS = [
    *rows("mapping", "acted",
        ("containers", "", "Sidecar containers, by name.", ""),
        ("containers.*", "", "One sidecar; it has the same options as the application.", "")),
    Key(name="containers.*.source", kind="text", fate="acted", required=True, stock="",
        does="Its image, validated like source."),
    *(
        Key(name=f"containers.*.{key.name}", kind=key.kind, fate=key.fate, does=key.does, stock="")
        for key in _OPTIONS
        if key.name in _SIDECAR_KEYS
    ),
]  # fmt: skip

_CREDENTIALS = [
    *rows("text", "acted",
        ("mint_bucket", "", "user.json and client.json are read from it before the start, and refreshed afterwards.",
         "Started berry if the text occurred anywhere.", "the key counts, not the text"),
        ("token_source", "client", "client: tokens by client.json. web-identity: by a token that AWS signs for the "
         "instance's role, without mint_bucket. both: by that token, with the files of mint_bucket beside.", "")),
    *rows("mapping", "acted",
        ("tokens", "", "Token files by name, each a list of scopes; requested as token_source states.", ""),
        ("encryption_context", "", "Encryption context for every aws:kms: value.", "")),
    *rows("text", "platform",
        ("tokeninfo_url", "", "The platform's TOKENINFO_URL; environment may override it.",
         "The same, but user data could replace it.", "audit and platform keys are the platform's")),
    *rows("any", "retired",
        ("local_planb_tokeninfo", "", _GONE_PLANB, "A daemon on port 9021."),
        ("local_planb_tokeninfo_introspection", "", _GONE_PLANB, "Its setting."),
        ("local_planb_tokeninfo_lightstep_token", "", _GONE_PLANB, "Its setting."),
        ("upstream_tokeninfo_url", "", _GONE_PLANB, "Its setting."),
        ("access_token_url", "", _GONE_PLANB, "Its setting."),
        ("openid_provider_configuration_url", "", _GONE_PLANB, "Its setting."),
        ("revocation_provider_url", "", _GONE_PLANB, "Its setting."),
        ("tokeninfo_business_partners", "", _GONE_PLANB, "Its setting.")),
    *rows("any", "kept",
        ("oauth_access_token_url", "", "Passed to the application in /meta/taupage.yaml.", "The same."),
        ("token_service_url", "", "Passed to the application in /meta/taupage.yaml.", "The same.")),
]  # fmt: skip

_HEALTH = [
    *rows("text", "acted", ("health_check_path", "", "GET must return 200, at the boot and afterwards.",
                            "Checked at the boot only.", "later failures must be detected too")),
    *rows("integer", "acted",
        ("health_check_port", "lowest TCP host port", "Port of the check on this machine.", "The same."),
        ("health_check_timeout_seconds", "60", "Deadline of the first 200; then the container is stopped.",
         "The container kept running.", "a machine that is not as specified must run nothing")),
    *rows("mapping", "mapped", ("healthcheck", "", "The load balancer to wait for.", "Classic load balancers.")),
    *rows("text", "mapped",
        ("healthcheck.type", "", "elb, alb or target-group, none.", "Only elb; anything else ended the boot."),
        ("healthcheck.loadbalancer_name", "", "With elb: this instance must be InService.", "The same."),
        ("healthcheck.target_group_arn", "", "With alb: this instance must be healthy in it.", "")),
    *rows("mapping", "acted",
        ("notify_cfn", "", "SignalResource on every outcome, with this instance as unique id.",
         "cfn-signal after the runtime; nothing on early failures.", "a stack must not wait for its timeout"),
        ("lifecycle_hook", "", "The Auto Scaling lifecycle hooks to complete.", "")),
    *rows("text", "acted",
        ("notify_cfn.stack", "", "Stack name.", "The same."),
        ("notify_cfn.resource", "", "Logical resource id.", "The same."),
        ("lifecycle_hook.group", "", "Auto Scaling group.", ""),
        ("lifecycle_hook.launching", "", "Hook that is completed at the boot's end: CONTINUE or ABANDON.", ""),
        ("lifecycle_hook.terminating", "", "Hook that is completed after the containers are drained.", ""),
        ("shutdown", "never", "never, on-exit, on-success: power off when the application ends.",
         "The same, validated only after it ran.", "validated before the start"),
        ("on_failure", "the platform's",
         "Action after a failed boot or a crash loop: hold, terminate, unhealthy, or retry the boot.",
         "The machine stayed idle.")),
    *rows("flag", "acted", ("start", "true", "false: maintenance; the containers are not started.", "")),
]  # fmt: skip

CONTAINER_KEYS: list[Key] = [*_IDENTITY, *_OPTIONS, *_SIDECARS, *_CREDENTIALS, *_HEALTH]
