"""`python -m whence_agent` is `whence-agent`."""

from __future__ import annotations

import sys

from whence_agent.cli import main

sys.exit(main())
