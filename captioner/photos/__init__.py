"""From paths to pixels and facts: walking, watching, formats, decoding, metadata, sidecars."""
