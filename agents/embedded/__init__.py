"""Kafka and Redis on one machine, from package registries alone: no Docker, no system Java."""
