"""Training-graph ops that TFLite lacks, spelled in builtin ones."""
