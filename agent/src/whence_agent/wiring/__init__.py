"""The only place that knows concrete classes: settings in, running services out.

process    what this process receives in addition to its settings
adapters   the adapters to every service outside the agent
reporting  the key, the outbox, delivery
stages     the stages of the boot, in the table's order
agent      the agent as services
"""

from __future__ import annotations
