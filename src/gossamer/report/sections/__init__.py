"""The sections of the page: each module's `make` takes a comparison and returns one section, or None if it has none."""
