"""Fine-tuning: a network trained on with the formats that it computes with."""
