"""Which genes mark the groups of spots that look alike."""
