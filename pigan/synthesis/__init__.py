"""Pictures, videos and evaluation images from a trained generator."""
