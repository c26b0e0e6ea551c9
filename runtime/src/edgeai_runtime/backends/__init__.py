"""Engines that run a model: one small interface, one module for each engine.

Nothing is imported here, so that a process loads the engine it uses and no other.
"""
