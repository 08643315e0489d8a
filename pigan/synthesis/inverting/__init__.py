"""Photos into a trained model: which object is it, seen from where."""
