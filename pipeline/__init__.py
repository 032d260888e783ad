"""A Post travels: records, log, store, stages and the command line."""
