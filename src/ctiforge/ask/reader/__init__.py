"""The reader: scores the options of a question by what the knowledge base holds on each."""
