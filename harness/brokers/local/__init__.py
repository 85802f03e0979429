"""Three real brokers on this machine, owned by a supervisor process."""
