"""Reaching a platform. Knows HTTP, not Flask."""
