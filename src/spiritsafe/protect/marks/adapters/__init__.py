"""Marks where others draw the tokens: transformers, llama-cpp-python, vLLM, none imported before it is used."""
