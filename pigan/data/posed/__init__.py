"""Posed images: cameras and depth maps in the layouts that people have."""
