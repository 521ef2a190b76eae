"""whence-agent: the machine its user data specifies, or no container at all.

cli        reads argv, nothing else does
wiring     the only place that knows concrete classes
http       the status endpoint for on-call
adapters   metadata service, registry, Docker Engine, S3, KMS, aggregator: foreign types end there
boot, delivery, supervision   the three services: bring up, tell, watch
stages     one boot stage each
ports      what the services need from the outside, as protocols
"""

from __future__ import annotations

__version__ = "0.1.0"
