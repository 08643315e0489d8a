"""Meshes of generated objects, step by step: density on a grid, its surface, repairs, colours, files."""
