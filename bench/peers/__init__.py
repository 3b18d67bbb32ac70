"""What TaskDash is measured beside: programs run by the Python of the peers' own environment (`make bench-peers`)."""
