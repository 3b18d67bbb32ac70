"""See ARCHITECTURE.md; import from the module that defines the name."""
