"""Makes a Python process, and all that it starts, a simulated Windows: see simulation.py."""

import simulation

simulation.install()
