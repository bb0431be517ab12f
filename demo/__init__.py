"""What `fedp demo` serves: a local page that personalizes a model."""
