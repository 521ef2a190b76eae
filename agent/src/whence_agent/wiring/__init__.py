"""The only place that knows concrete classes: settings in, running services out.

process    what this process was given beside its settings
adapters      the adapters: every side outside the agent
reporting  the key, the outbox, delivery
stages     the stages of the boot, in the table's order
agent      all of it as services
"""

from __future__ import annotations
