"""The commands of `tingchao`, one file a group; beside cli.py the only files that know every package."""
