"""`python -m captioner`, where the command itself is not on the path."""

from captioner.cli import main

if __name__ == "__main__":
    main()
