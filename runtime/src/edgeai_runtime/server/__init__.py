"""The serving process: HTTP in front of the models of one generation.

Nothing is imported here; `server.run` is where it starts.
"""
