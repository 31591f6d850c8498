"""Sections whose gene expression was measured spot by spot, beside their image."""
