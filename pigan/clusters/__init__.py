"""Whether a Snakemake profile fits this place, before anyone waits in a queue for nothing."""
