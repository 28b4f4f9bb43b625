"""Tokens: one address for ten AI platforms."""
