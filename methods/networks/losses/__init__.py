"""Every loss of the pipeline as a pure function of tensors.

"The report", here and elsewhere in the package, is Dong, Nie and Wei, Deep Learning Based Medical
Image Registration, Southern University of Science and Technology, 8 June 2022.
"""
