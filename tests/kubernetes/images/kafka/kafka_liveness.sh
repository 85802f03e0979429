#!/bin/bash
# Before a node is ready it counts as alive; afterwards its internal port must listen.
test -e /var/opt/kafka/kafka-ready || exit 0
port=2382  # 9090
grep -q '^process.roles=.*broker' /tmp/server.properties && port=2383  # 9091
grep -qE ":$port [0-9A-F]+:0000 0A" /proc/net/tcp /proc/net/tcp6
