"""A TaskDash cluster of real programs on one machine: nsqlookupd, nsqd nodes, PostgreSQL, instances that share them."""
