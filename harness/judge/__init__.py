"""From findings to a verdict: promises, controls, exposure, bounds. Pure, and in English.

Import from the modules; this file stays empty so that each can be had without the others.
"""
