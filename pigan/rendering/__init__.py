"""Cameras, rays, samples along rays, volume rendering: pure functions that know no network."""
