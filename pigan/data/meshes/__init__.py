"""Folders of 3-D models, ray cast into posed views with exact depth."""
