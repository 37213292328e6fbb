"""`python -m fastsmc` is the command line."""

from fastsmc.cli import main

if __name__ == "__main__":
    main()
