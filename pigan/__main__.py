"""`python -m pigan` is `pigan`."""

from pigan.cli import main

main()
