"""How far a study is, told from its files alone; needs no PyTorch."""
