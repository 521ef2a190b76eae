"""`whence-aggregator check`: everything that a program would die of at its start, and nothing of it is started.

Nothing is written or made here: a check that made a key or a database would hide what it looks for.
"""
