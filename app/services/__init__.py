"""One use case a module. No Flask, no SQL, no platform names."""
