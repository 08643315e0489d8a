"""The stages of the chain: paths in, files out, atomically."""
