"""`whence-aggregator check`: find every reason why a program would fail to start, without starting it.

Nothing is written or created here: a check that created a key or a database would hide what it checks.
"""
