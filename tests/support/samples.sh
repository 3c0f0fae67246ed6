#!/usr/bin/env bash
# Downloads the sample images of Pillow and exiftool, for the test that writing preserves them:
#
#     tests/support/samples.sh samples
#     CAPTIONER_TEST_SAMPLES=samples python -m pytest -m slow -s tests/metadata/test_losses.py
#
# Pillow's come with its source on the package index, exiftool's with Debian's source package
# (apt needs a `deb-src` line in its sources, and `apt-get update` to have been run).
set -euo pipefail
mkdir -p "$1"
cd "$1"
python -m pip download --quiet --no-deps --no-binary pillow pillow
apt-get source --quiet --download-only libimage-exiftool-perl
tar --wildcards -xf pillow-*.tar.gz '*/Tests/images/*'
tar --wildcards -xf libimage-exiftool-perl_*.orig.tar.* '*/t/images/*'
rm pillow-*.tar.gz libimage-exiftool-perl_*.*
