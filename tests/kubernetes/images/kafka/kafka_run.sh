#!/bin/bash
# Starts one node, as a Strimzi pod does: configuration from the ConfigMap, storage formatted once, an
# init process in front of Kafka, so that signals reach it and PID 1 is not the broker.
set -e
config=/tmp/server.properties
custom=/opt/kafka/custom-config
rm -f /var/opt/kafka/kafka-ready  # the volume outlives the container

sed "s|\${STRIMZI_RACK_ID}|${STRIMZI_RACK_ID:-}|" "$custom/server.config" > "$config"
setting() { sed -n "s/^$1=//p" "$config"; }

class_path=$(cat /opt/kafka/classpath)
wanted=$(cat "$custom/metadata.version")
if [ "$wanted" = "$(cat /opt/kafka/format/metadata.version)" ]; then
  # What Kafka's own format command writes, without a JVM; see the image's build.
  for folder in $(setting 'log\.dirs' | tr , ' '); do
    [ -e "$folder/meta.properties" ] && continue
    mkdir -p "$folder"
    directory=A$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 2-22)
    cp /opt/kafka/format/*.checkpoint "$folder/"
    printf 'version=1\nnode.id=%s\ncluster.id=%s\ndirectory.id=%s\n' \
      "$(setting 'node\.id')" "$(cat "$custom/cluster.id")" "$directory" > "$folder/meta.properties"
  done
elif [ ! -e "$(setting 'metadata\.log\.dir')/meta.properties" ]; then
  /opt/java/bin/java -XX:TieredStopAtLevel=1 -cp "$class_path" kafka.tools.StorageTool format \
    --cluster-id "$(cat "$custom/cluster.id")" --release-version "$wanted" --config "$config"
fi

exec /usr/bin/tini -w -e 143 -- /opt/java/bin/java $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS \
  -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData -XX:AOTCache=/opt/kafka/classes.aot '-Xlog:aot*=off' \
  -Djava.awt.headless=true -Dlog4j2.disableJmx=true -Dlog4j2.configurationFile=$custom/log4j2.properties \
  $STRIMZI_JAVA_SYSTEM_PROPERTIES -cp "$class_path" kafka.Kafka "$config"
