"""Who may call, and on whose account."""
