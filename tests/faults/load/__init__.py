"""Loads that a real `serve` must stand: small generators, and what a process uses."""
