"""whence-agent: boot an instance from its user data: the machine specified, or no container at all.

cli, commands   the command line; only cli reads argv and the environment
start, wiring   the order in which the process starts; wiring is the only place that knows concrete classes
adapters        metadata service, registries, Docker Engine, AWS, token endpoint, aggregator, without foreign types
status          the status document, and the endpoint that serves it to on-call
boot            from user data to a healthy application, or to no container at all
watch           everything after the boot
credentials     the application's credentials, and the logins for registries
report          statements: created, stored until delivered, and their receipts
machine         the helper that runs as root, a separate program
progress        what was observed so far: one facet for each package that observes
patience, pulse, redaction, settings, registry_settings, stage_table    used by every package
ports, ports_aggregator, ports_cloud, ports_engine    what the packages need from outside, as protocols
"""

from __future__ import annotations

from whence_common import __version__ as __version__
