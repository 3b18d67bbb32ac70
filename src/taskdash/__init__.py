"""TaskDash: which tasks run, whether what runs them is alive, and whose they are."""
