"""Dialects that more than one platform speaks: bytes and JSON on one side, the canonical form on
the other.
"""
