"""What `device_step.py` is made of; workers need of it NumPy alone."""
