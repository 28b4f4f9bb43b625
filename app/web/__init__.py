"""Flask lives here: routes, access, failures, limits of what comes in."""
