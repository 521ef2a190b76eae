"""whence-agent: the machine its user data specifies, or no container at all.

cli, commands   the command line; only cli reads argv and the environment
wiring          the only place that knows concrete classes
http            the status endpoint for on-call
adapters        metadata service, registries, Docker Engine, AWS, token endpoint, aggregator: foreign types end there
machine         the helper that needs root, a program of its own
boot, bring_up, stages      from user data to a healthy application, or to no container at all
supervision, restarts, drift, health_watch, notices, ending   everything after the boot
credentials, generations, tokens, sign_in   the application's credentials, and what registries are shown
reporter, outbox, delivery  what is said, kept and told
progress, status, pulse, redaction          what is known, shown, alive, and never shown
announcement, host_metrics  who else hears of it
ports, ports_cloud          what the services need from the outside, as protocols
"""

from __future__ import annotations

__version__ = "0.1.0"
