"""The registry as MLflow shows one: `thalweg models mlflow`. MLflow itself is an extra."""
