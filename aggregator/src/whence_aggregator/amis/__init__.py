"""Statements about AMIs: verified and recorded, listed, and searched by package. No I/O of its own.

A statement counts by its signature and its builder, and an AMI by what AWS states; what a caller states is neither.
"""
