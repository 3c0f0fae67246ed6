"""Syntax of the formats that hold metadata, shared by the readers in `photos` and the writer.

These modules only split bytes into parts. What to do with a file that is damaged is decided by
their users: `photos` takes from it what it can, `metadata` refuses to write into it.
"""
