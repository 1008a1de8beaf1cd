"""What a run reports: its outcome, log, artifacts, diagram, notifications and names in the UI."""
