"""What the brokers' own log files hold: read without asking a broker, on the machine it runs on."""
