"""A file for each peer. Nothing is imported here, since each runs in an environment of its own."""
