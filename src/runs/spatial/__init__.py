"""`python -m src.runs.spatial`: which genes mark the regions of a section that look alike."""
