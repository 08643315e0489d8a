"""The embedded dataset: procedural cars, ray traced exactly."""
