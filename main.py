"""Caption one photo: `python main.py -i example.jpg` prints its caption."""

import argparse
from pathlib import Path

from captioner.cli import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-i", "--image", required=True, metavar="PHOTO", help="photo to caption")
    photo = parser.parse_args().image
    if Path(photo).is_dir():
        parser.error(f"{photo} is a folder; `captioner caption {photo}` captions everything in it.")
    # A file may be named "-", which `captioner caption` takes for standard input.
    main(["caption", "--", "./-" if photo == "-" else photo])
