"""What is asked of Kafka itself: topics, leaders, settings of clients, requests of the protocol."""
