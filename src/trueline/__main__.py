"""`python -m trueline` is `trueline`."""

from trueline.cli.main import main

main()
