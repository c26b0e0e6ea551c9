"""What a device knows of itself: counters and figures of the serving process, health of the whole."""
