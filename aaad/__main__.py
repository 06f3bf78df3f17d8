"""`python -m aaad`: the same as the command `aaad`."""

from aaad.cli.main import main

if __name__ == "__main__":
    main()
