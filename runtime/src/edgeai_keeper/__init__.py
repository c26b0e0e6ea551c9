"""The keeper: the small parent process that holds a device's sockets and takes a bad generation back.

It starts the current generation as a child, puts a new one beside it on the same listening
sockets, asks it what it must know, and returns to the last confirmed generation when the new one
is worse, with nobody connected. It is the only writer of state.json. Standard library only,
Python 3.8 or newer, nothing of the runtime: provisioning puts it into one file,
opt/edgeai/bin/keeper, and generations never replace it.

    python3 keeper --root / --http 127.0.0.1:8080

Read keeper.py first; the others are what it is made of.
"""
