"""`python -m captioner`, for when the `captioner` command is not on the path."""

from captioner.cli import main

if __name__ == "__main__":
    main()
