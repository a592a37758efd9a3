"""nplm: neural language models over n-gram windows, trained and queried from the command line."""

__version__ = "0.1.0"
