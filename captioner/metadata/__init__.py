"""Captions in photos and sidecars: written without loss, and undone byte for byte."""
