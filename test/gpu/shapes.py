"""Writes the configurations whose kernels have the shapes that others publish.

    shapes.py DEEPSEEK_V3_CONFIG OUT

OUT/<name>/config.json for each of SHAPES: one dense layer of DeepSeek-V3 whose
o_proj has the wanted rows and columns. V3 itself has the other shapes.
"""

import json
import os
import sys

# Name: (hidden size = rows of o_proj, heads of 128 = columns / 128, FP8).
SHAPES = {
    "o4096x7168": (4096, 56, True),
    "o32768x512": (32768, 4, True),
    "o8192x8192": (8192, 64, False),
}


def main():
    with open(sys.argv[1]) as file:
        v3 = json.load(file)
    for name, (hidden, heads, fp8) in SHAPES.items():
        config = dict(v3, hidden_size=hidden, num_attention_heads=heads,
                      num_key_value_heads=heads, num_hidden_layers=1,
                      first_k_dense_replace=1, num_nextn_predict_layers=0,
                      vocab_size=1024, intermediate_size=2048)
        if not fp8:
            del config["quantization_config"]
        folder = os.path.join(sys.argv[2], name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(config, file, indent=1)


if __name__ == "__main__":
    main()
