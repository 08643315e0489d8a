"""The live viewer: a page on this machine that shows what a trained model makes of a seed, a camera and settings."""
