"""The learned parts as plain torch modules: no files, no registry, no training."""
