"""Captions in and beside photos: written where other programs read them, taken back exactly."""
