"""What `harness k8s` does: it wraps kubectl, and says which command each step runs."""
