"""Files in, typed records out: vulnerability feeds of every common format, and the CWE catalogue."""
