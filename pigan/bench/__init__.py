"""Speed against a plain reference with the same weights and inputs, in one process, and what a training would take."""
