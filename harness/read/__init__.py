"""What is read back: along with the load, and by the proven drain."""
