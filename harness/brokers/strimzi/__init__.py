"""The broker kind `strimzi`: a Kafka cluster in Kubernetes that Strimzi's operator runs.

target      what a strimzi:// address says
objects     Kubernetes objects of Strimzi as data: listeners, node pools, pods
access      questions to the Kubernetes API, and what their failures mean
identity    how a client shows who it is: a KafkaUser's secret, the cluster's certificate authority
cluster     the cluster found, as `Brokers`
verbs       what can be done to its brokers, as `BrokerControl`; deletion, processes: how
operated    zones, rolls by the operator, the operator itself
evidence    what shows that it had its effect
pods        pods of Kafka nodes, and a watch over them; restarts: what ends, whoever ended it
rights      what the identity must be allowed to do

Only this folder imports the kubernetes package, and only when a strimzi:// address is used.
"""
