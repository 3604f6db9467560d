"""From a configuration to what it names: systems with their model cards, methods, engines."""
