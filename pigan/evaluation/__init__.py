"""How good generated images and their geometry are: fidelity to real images, and 3-D consistency."""
