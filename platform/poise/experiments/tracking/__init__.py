"""What runs are told in MLflow, and how its pages show them."""
