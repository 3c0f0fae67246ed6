"""From a path to pixels: which files may be photos, and what a model sees of them."""
