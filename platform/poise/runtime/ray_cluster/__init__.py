"""Ray: what is looked at before it starts, and the cluster that a job joins or starts."""
