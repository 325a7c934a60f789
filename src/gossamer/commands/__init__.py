"""The commands of the command line, one a file; each is a frozen dataclass of its options with `run`."""
