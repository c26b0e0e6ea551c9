"""What a release's author types: a release begun, checked, built, and rehearsed as a device would have it.

Nothing is imported here: packing a bundle reads releases and needs no engine, and torch is needed by nobody
but who exports a program of its.
"""
