"""The shell: Faust agents, the Kafka transport, Redis, HTTP, processes and clocks."""
