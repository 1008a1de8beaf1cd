"""The parameters of a load: the same for the command line, Python and Prefect."""
