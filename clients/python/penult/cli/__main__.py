"""`python -m penult.cli` is `penult`."""

from penult.cli.app import main

main()
