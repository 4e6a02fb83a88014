"""Looking at a deployment and setting it up: topics, models, features, dead letters."""
