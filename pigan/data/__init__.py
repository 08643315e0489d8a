"""From raw images, or none, to seeded batches on the device."""
