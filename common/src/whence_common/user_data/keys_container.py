"""The keys that say what runs: identity, image, container, credentials, health (reference 4.1, 4.2, 4.4, 4.5)."""

from __future__ import annotations

from whence_common.user_data.schema import Key, rows

_SAFER = "an unsafe grant needs the platform's word"
_GONE_PLANB = "The local token info daemon is gone; set TOKENINFO_URL in environment."

_IDENTITY = [
    Key(name="application_id", kind="text", fate="acted", required=True,
        does="Names the application: APPLICATION_ID, the mint prefix, every report.",
        stock="APPLICATION_ID; the text None when missing.", why="a report without an application helps nobody"),
    Key(name="application_version", kind="text", fate="acted", required=True,
        does="APPLICATION_VERSION and every report; a doubt when it differs from the image's tag.",
        stock="APPLICATION_VERSION."),
    Key(name="runtime", kind="text", fate="acted", required=True, does="Only Docker.", stock="Only Docker."),
    Key(name="source", kind="text", fate="acted", required=True,
        does="Resolved to a digest once; pulled, run and reported by digest. Moving tags are refused.",
        stock="Split at the first colon; resolved again by docker run after the check.",
        why="a tag may move between two reads; ports and digests work"),
    *rows("text", "acted", ("deployment_id", "", "Kept and reported as provenance.", "For token info tracing only.")),
    *rows("mapping", "mapped",
        ("dockercfg", "", "Registry sign-in, in memory only; entries by host or below auths, YAML or JSON text; auth "
         "may be aws:kms:.",
         "Written to root's ~/.dockercfg.", "no password on disk")),
    *rows("text", "mapped",
        ("dockercfg.*.auth", "", "user:password in base64, or a secret reference to it.", "Written as it stands."),
        ("dockercfg.*.username", "", "Docker's other form, with password.", ""),
        ("dockercfg.*.password", "", "Docker's other form, with username.", ""),
        ("dockercfg.*.identitytoken", "", "Docker's token form.", ""),
        ("dockercfg.*.email", "", "Ignored, as the Engine does.", "Written as it stands.")),
    Key(name="dockercfg.*", kind="mapping", fate="mapped", does="One registry's sign-in.", stock="The same."),
]  # fmt: skip

_OPTIONS = [
    *rows("mapping", "acted",
        ("ports", "", "Host port to container port; /tcp or /udp may follow either; no port twice, nor sshd's.",
         "Addresses and ranges unchecked.",
         "all is checked before anything starts"),
        ("environment", "", "Variables; scalars only, rendered as stock did; secret references are judged offline and "
         "resolved; 128 KiB a variable.",
         "Rendered by Python: True, False, None."),
        ("ulimits", "", "Limits by name: a number, or {soft, hard}; -1 is unlimited; nofile up to fs.nr_open.", "")),
    *rows("list", "acted",
        ("capabilities_add", "", "Capabilities without CAP_, as far as the platform allows.", "Passed as they stand.",
         _SAFER),
        ("capabilities_drop", "", "Capabilities without CAP_.", "Passed as they stand."),
        ("command", "", "Arguments instead of the image's command.", "")),
    *rows("text", "acted",
        ("hostname", "", "Host name inside, 64 characters at most.", "The same."),
        ("networking", "bridge", "bridge, none or container:NAME; host needs allow_host_network.",
         "Passed as it stands."),
        ("user", "999 and the application's group", "uid:gid to run as; neither may be 0.", ""),
        ("cpus", "", "Processors, 1.5 for one and a half; all of them on a machine that has fewer.", ""),
        ("gpus", "", "all, or how many GPUs, by the Engine's device request.",
         "nvidia-docker when /dev/nvidia* is there.", "asked for, not guessed")),
    *rows("flag", "acted",
        ("root", "false", "The image's own user instead of uid 999.", "The same, with gid 0 otherwise.",
         "uid and gid are both set"),
        ("privileged", "false", "All capabilities; needs allow_privileged.", "Always granted.", _SAFER),
        ("read_only", "false", "Read-only root; /tmp stays writable, in memory or by mounts.", "Without any /tmp.",
         "most programs need one"),
        ("mount_var_log", "false", "The host's /var/log at /var/log-host, read-only.", "The same."),
        ("mount_custom_log", "false", "/var/log-custom at /var/log, writable.", "The same."),
        ("mount_certs", "false", "The host's /etc/ssl/certs, read-only.", "The same."),
        ("init", "false", "A small init reaps processes and passes signals on.", ""),
        ("no_new_privileges", "true", "Set-uid programs gain nothing.", "")),
    *rows("flag", "mapped",
        ("docker_daemon_access", "false", "The Engine's socket; needs allow_engine_socket.",
         "Socket, client and eight libraries.", "the socket equals root; clients belong into the image")),
    *rows("size", "acted",
        ("shm_size", "64m", "Size of /dev/shm.", "The same."),
        ("memory", "", "Memory limit, 6m at least; no swap beyond it.", "")),
    *rows("integer", "acted",
        ("pids_limit", "4096", "Most processes and threads.", ""),
        ("stop_timeout", "30", "Seconds between SIGTERM and SIGKILL.", "Docker's 10.", "drains need longer")),
]  # fmt: skip

_SIDECAR_KEYS = (
    "ports", "environment", "ulimits", "capabilities_add", "capabilities_drop", "command", "hostname", "networking",
    "user", "cpus", "gpus", "root", "privileged", "read_only", "init", "no_new_privileges", "shm_size", "memory",
    "pids_limit", "stop_timeout", "mount_var_log", "mount_custom_log", "mount_certs", "docker_daemon_access",
)  # fmt: skip

_SIDECARS = [
    *rows("mapping", "acted",
        ("containers", "", "Further containers beside the application, by name.", ""),
        ("containers.*", "", "One sidecar; its options are those of the application.", "")),
    Key(name="containers.*.source", kind="text", fate="acted", required=True, stock="",
        does="Its image, judged like source."),
    *(
        Key(name=f"containers.*.{key.name}", kind=key.kind, fate=key.fate, does=key.does, stock="")
        for key in _OPTIONS
        if key.name in _SIDECAR_KEYS
    ),
]  # fmt: skip

_CREDENTIALS = [
    *rows("text", "acted",
        ("mint_bucket", "", "user.json and client.json are kept fresh from it before and while the container runs.",
         "Started berry when the text occurred anywhere.", "the key counts, not the text")),
    *rows("mapping", "acted",
        ("tokens", "", "Token files by name, each a list of scopes; got with client.json.", ""),
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
        ("oauth_access_token_url", "", "For the application to read in /meta/taupage.yaml.", "The same."),
        ("token_service_url", "", "For the application to read in /meta/taupage.yaml.", "The same.")),
]  # fmt: skip

_HEALTH = [
    *rows("text", "acted", ("health_check_path", "", "GET must answer 200, at the boot and ever after.",
                            "Asked at the boot only.", "what breaks later must be seen too")),
    *rows("integer", "acted",
        ("health_check_port", "lowest TCP host port", "Port to ask on this machine.", "The same."),
        ("health_check_timeout_seconds", "60", "Deadline of the first 200; then the container is stopped.",
         "The container kept running.", "a machine that is not as specified runs nothing")),
    *rows("mapping", "mapped", ("healthcheck", "", "Load balancer to wait for.", "Classic load balancers.")),
    *rows("text", "mapped",
        ("healthcheck.type", "", "elb, alb or target-group, none.", "Only elb; anything else ended the boot."),
        ("healthcheck.loadbalancer_name", "", "With elb: this instance must be InService.", "The same."),
        ("healthcheck.target_group_arn", "", "With alb: this instance must be healthy in it.", "")),
    *rows("mapping", "acted",
        ("notify_cfn", "", "SignalResource on every outcome, with this instance as unique id.",
         "cfn-signal after the runtime; nothing on early failures.", "a stack must not wait out its timeout"),
        ("lifecycle_hook", "", "Auto Scaling lifecycle hooks to complete.", "")),
    *rows("text", "acted",
        ("notify_cfn.stack", "", "Stack name.", "The same."),
        ("notify_cfn.resource", "", "Logical resource id.", "The same."),
        ("lifecycle_hook.group", "", "Auto Scaling group.", ""),
        ("lifecycle_hook.launching", "", "Hook completed when the boot has ended: CONTINUE or ABANDON.", ""),
        ("lifecycle_hook.terminating", "", "Hook completed once the containers are drained.", ""),
        ("shutdown", "never", "never, on-exit, on-success: power off when the application ends.",
         "The same, checked only after it ran.", "checked first"),
        ("on_failure", "the platform's",
         "hold, terminate, unhealthy, or retry (the boot is tried again): what a failed boot or a crash loop does.",
         "The machine idled for ever.")),
    *rows("flag", "acted", ("start", "true", "false: maintenance; everything but the containers is set up.", "")),
]  # fmt: skip

CONTAINER_KEYS: list[Key] = [*_IDENTITY, *_OPTIONS, *_SIDECARS, *_CREDENTIALS, *_HEALTH]
