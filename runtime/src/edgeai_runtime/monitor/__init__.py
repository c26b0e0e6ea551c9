"""What a device knows of itself: counters, metrics, the health report."""
