"""The command line: ``poise tracks``, ``fetch``, ``convert``, ``check``."""
