"""A disk that remembers what was written when and what was synced, and that can fail: for power cuts and bad disks."""
