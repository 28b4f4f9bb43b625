"""What the gateway counts of its work, for Prometheus."""
