"""Findings of scanners: parsed from OCSF, ASFF and SARIF, recorded, and listed with their owners. No I/O of its own.

A scanner states what it saw; nothing here makes a finding better than it was stated. What is not stated is unknown.
"""
