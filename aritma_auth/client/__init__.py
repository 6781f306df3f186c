"""One client registration at one authorization server, composed of parts that can be read alone."""
