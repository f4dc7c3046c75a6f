"""The embedded CWE classifier: predict, calibrate, explain, and apply MITRE's mapping policy."""
