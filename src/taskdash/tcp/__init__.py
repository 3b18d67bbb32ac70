"""The TCP interface of SPEC 5; import from the module that defines the name."""
