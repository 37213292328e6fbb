"""`python -m fastsmc` is the command line."""

from fastsmc.cli.app import main

if __name__ == "__main__":
    main()
