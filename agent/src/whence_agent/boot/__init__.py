"""Boot: from user data to a healthy application, or to no container at all.

stage           what a stage is: it takes what the stages before it observed, and returns what it observed itself
bring_up        runs the stages of the table (`stage_table`), and records what they observed
boot            the whole boot: judge, adopt or act, hand over, tell
failure, tries  what follows when a stage fails
adoption        the containers of this boot, when the agent starts again
handover        what the watches after the boot are given
warm_pool       whether this machine goes into its group's warm pool
disk_retries    what the disk refused, and is tried again
container       which containers are meant

The other modules are the stages, by their names. A stage changes nothing in `progress` but what it waits for.
"""

from __future__ import annotations
