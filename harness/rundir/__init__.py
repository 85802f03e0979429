"""The run directory, where the stages meet: each file's writer beside its reader."""
