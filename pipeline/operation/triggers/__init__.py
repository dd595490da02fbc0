"""What starts runs without a person: cron, systemd and Kubernetes."""
