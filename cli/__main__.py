"""`python -m fedp.cli`."""

from fedp.cli.running import main

main()
