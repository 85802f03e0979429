"""What was read set against what was sent: pure rules, records in and findings out."""
