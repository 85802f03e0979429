"""The broker kind `strimzi`: a Kafka cluster in Kubernetes that Strimzi's operator runs.

target      what a strimzi:// address says
objects     Kubernetes objects of Strimzi as data: listeners, node pools, pods
access      questions to the Kubernetes API, and what their failures mean
identity    how a client shows who it is: a KafkaUser's secret, the cluster's certificate authority
cluster     the cluster found, as `Brokers`

Only this folder imports the kubernetes package, and only when a strimzi:// address is used.
"""
