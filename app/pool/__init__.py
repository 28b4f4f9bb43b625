"""Which credential serves a call, and what is known of each."""
