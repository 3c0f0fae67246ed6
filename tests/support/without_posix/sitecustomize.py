"""Simulates Windows in a Python process and its child processes; see simulation.py."""

import simulation

simulation.install()
