"""Processes, disks, streams and signals of this machine."""
