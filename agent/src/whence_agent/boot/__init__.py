"""Boot: from user data to a healthy application, or to no container at all.

stage           the interface of a stage: it receives what earlier stages observed, and returns what it observed
bring_up        runs the stages of the table (`stage_table`), and records what they observed
boot            the whole boot: judge, adopt or act, hand over, announce
failure, tries  what follows when a stage fails
adoption        the containers of this boot, after the agent restarted
handover        configures the services that run after the boot
warm_pool       whether this machine enters its group's warm pool
disk_retries    writes that the disk refused, and that are retried
container       the specifications of the containers

Each other module contains the stage of its name. In `progress`, a stage changes only what it waits for.
"""

from __future__ import annotations
