"""`python -m fastsmc` is the command line."""

from fastsmc.cli.start import main

if __name__ == "__main__":
    main()
