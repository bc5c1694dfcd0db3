"""Workers and what keeps them: processes, interpreters, plug-ins, the folder of a run."""
