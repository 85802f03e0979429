"""One run from options to verdict: the library below the command line."""
