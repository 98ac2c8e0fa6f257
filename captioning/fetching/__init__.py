"""Files over HTTP, whole and right, and unpacked."""
