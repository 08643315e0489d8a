"""Generator and discriminator of pi-GAN, and the ablation variants of their parts."""
