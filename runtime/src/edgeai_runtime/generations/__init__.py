"""Generations: composed, proved, switched to on trial, confirmed or taken back, all as a whole."""
