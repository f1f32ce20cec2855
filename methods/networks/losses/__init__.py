"""Every loss of the pipeline as a pure function of tensors."""
