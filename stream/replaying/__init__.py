"""The worker's engine over logs, in several processes, with the result of one."""
