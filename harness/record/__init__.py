"""A record's identity, in bytes and by key."""
