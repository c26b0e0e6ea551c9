"""Models ready to answer: a backend, the pipeline around it, and the generation that names them.

Nothing is imported here: the calibration of a conversion needs the pipeline alone.
"""
