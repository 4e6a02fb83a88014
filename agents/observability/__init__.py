"""What the system tells of itself: metrics, telemetry, lag, accuracy."""
