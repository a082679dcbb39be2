"""`python -m ishcount` is `ishcount`."""

from ishcount.cli import main

if __name__ == "__main__":
    main()
