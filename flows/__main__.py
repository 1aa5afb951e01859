"""``python -m flows``: the command line, however it was installed."""

from flows.cli import main

main()
