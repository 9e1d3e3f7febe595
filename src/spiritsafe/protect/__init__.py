"""What leaves: marks on answers, withheld twins, canaries, release of reasoning and logprobs."""
