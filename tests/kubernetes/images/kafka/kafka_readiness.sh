#!/bin/bash
# A broker is ready once it is unfenced (Kafka's log then made the file), a controller once it listens.
if grep -q '^process.roles=.*broker' /tmp/server.properties; then
  test -e /var/opt/kafka/kafka-ready
else
  grep -qE ':2382 [0-9A-F]+:0000 0A' /proc/net/tcp /proc/net/tcp6  # port 9090, LISTEN
fi
