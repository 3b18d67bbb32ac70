"""Typed settings, each with where its value came from (SPEC 9)."""
