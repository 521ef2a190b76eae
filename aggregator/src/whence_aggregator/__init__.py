"""whence-aggregator: takes signed statements into a ledger, and answers where what runs came from.

cli           reads argv and the environment; nothing else does
commands      the subcommands of whence-aggregator; `check` is one of them, with a room of its own
wiring        builds the programs; the only room that knows concrete classes
http          the API, Kio's and Pier One's paths
storage       named queries on SQLite or PostgreSQL, and their migrations
adapters      AWS, registries, Git servers, files: foreign types end there
settings      the settings files
callers       who asks
agents        enrolment, statements and heartbeats
registry      the Pier One front
collect       what outside systems know
compliance    rules and verdicts
applications  Kio's applications
audit         bundles, checks, the rebuild of projections, witnesses
trace         facts become lineages, in pure code
projections   what entries of the ledger mean for the tables
work          the queue of work and its worker
ledger        what is appended and how it is hashed
ports         what the use cases need, as protocols
whence        `whence`, the command people type: a client of the API
"""

from __future__ import annotations

from whence_common import __version__ as __version__
