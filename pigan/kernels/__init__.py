"""Fast evaluations of the same field, each tested against its float64 reference."""
