"""One module a command (SPEC 9). Each has `run(arguments) -> exit status`."""
