"""CloudTrail's events of every account: read from SQS and S3, made entries of the log, and never the only way to know.

No I/O of its own: queues, objects and public keys are ports (events/ports.py). What is read here was written by others:
each reader has bounds in bytes, number and depth, and refuses with a reason that becomes a dead letter.
"""
