"""Several experiments on one page."""
