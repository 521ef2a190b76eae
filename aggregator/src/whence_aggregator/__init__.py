"""whence-aggregator: takes signed statements, keeps them in a ledger, answers where what runs came from.

cli        reads argv and the environment, nothing else does
wiring     the only place that knows concrete classes
http       the API, the pages and Kio's paths
storage    named queries on SQLite or PostgreSQL, and their migrations
adapters   registries and Git servers: foreign types end there
ingest, enrolment, heartbeats, collect, compliance, applications   use cases
trace      facts become lineages, in pure code
ledger     what is appended and how it is hashed
command    `whence`, the command people type: a client of the API
ports      what the use cases need, as protocols
"""

from __future__ import annotations

__version__ = "0.1.0"
