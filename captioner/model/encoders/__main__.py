"""Write the architecture files that ship: `python -m captioner.model.encoders`.

Run it after the network of an encoder in this package has changed; a test compares them. Bundles
that hold no architecture of their own are read with these files.
"""

from __future__ import annotations

import json

from captioner.model.encoders import xception
from captioner.model.encoders.architecture import Architecture
from captioner.model.encoders.trained import packaged_architecture


def main() -> None:
    """One file for Xception, one line for each layer."""
    content = Architecture.of(xception.network(224)).to_json()
    lines = ",\n".join(json.dumps(layer) for layer in content.pop("layers"))
    head = json.dumps(content)[1:-1]
    file = packaged_architecture(xception.name)
    file.write_text(f'{{{head}, "layers": [\n{lines}\n]}}\n', "utf-8")


if __name__ == "__main__":
    main()
