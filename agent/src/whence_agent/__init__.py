"""whence-agent: the machine its user data specifies, or no container at all.

cli, commands   the command line; only cli reads argv and the environment
start, wiring   the order in which the process starts; wiring is the only place that knows concrete classes
adapters        metadata service, registries, Docker Engine, AWS, token endpoint, aggregator: foreign types end there
status          the status document, and the endpoint that shows it to on-call
boot            from user data to a healthy application, or to no container at all
watch           everything after the boot
credentials     the application's credentials, and the logins shown to registries
report          statements: made, kept until delivered, and their receipts
machine         the helper that needs root, a program of its own
progress        what was observed so far: one facet for each room that observes
patience, pulse, redaction, settings, registry_settings, stage_table    what every room uses
ports, ports_aggregator, ports_cloud, ports_engine    what the rooms need from outside, as protocols
"""

from __future__ import annotations

__version__ = "0.1.0"
