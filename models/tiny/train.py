"""Trains models/tiny: a small model of the DeepSeek-V3 architecture.

    python train.py --out DIR [--minutes 60] [--threads 1] [--seed 1]

Needs torch, transformers and tokenizers, and the Debian packages bible-kjv and
bible-kjv-text for the text. Every few minutes DIR/checkpoint.pt (weights in
float32 under transformers' names), DIR/config.json, DIR/tokenizer.json and
DIR/progress.json are replaced; export.py turns them into a checkpoint. The
learning rate follows the share of --minutes that has passed, so a run on a
busy machine ends well, with fewer steps. Not bit-reproducible across thread
counts: what is shipped is the checkpoint, not the run.
"""

import argparse
import json
import math
import os
import time
import types

import text
import tokenizer as bpe
import torch
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

CONFIG = dict(
    vocab_size=1024,
    hidden_size=256,
    intermediate_size=384,
    moe_intermediate_size=128,
    num_hidden_layers=4,
    first_k_dense_replace=1,
    num_attention_heads=4,
    num_key_value_heads=4,
    q_lora_rank=128,
    kv_lora_rank=128,
    qk_nope_head_dim=32,
    qk_rope_head_dim=16,
    v_head_dim=32,
    n_routed_experts=32,
    n_shared_experts=1,
    num_experts_per_tok=4,
    n_group=4,
    topk_group=2,
    norm_topk_prob=True,
    routed_scaling_factor=2.5,
    max_position_embeddings=4096,
    rms_norm_eps=1e-6,
    num_mtp_layers=0,
    bos_token_id=0,
    eos_token_id=1,
    rope_parameters=dict(
        rope_type="yarn",
        rope_theta=10000.0,
        factor=4.0,
        original_max_position_embeddings=1024,
        beta_fast=32.0,
        beta_slow=1.0,
        mscale=1.0,
        mscale_all_dim=1.0,
    ),
)


def experts_forward(self, hidden_states, top_k_index, top_k_weights):
    """DeepseekV3Experts.forward, faster to train on a CPU: one sort of the
    assignments, and gradients of the stacked weights written once."""
    flat = top_k_index.reshape(-1)
    order = torch.argsort(flat, stable=True)
    token = order // top_k_index.shape[1]
    rows = hidden_states[token].split(
        torch.bincount(flat, minlength=self.num_experts).tolist())
    outputs = []
    for x, up, down in zip(
            rows, self.gate_up_proj.unbind(0), self.down_proj.unbind(0)):
        gate, value = torch.nn.functional.linear(x, up).chunk(2, dim=-1)
        outputs.append(torch.nn.functional.linear(self.act_fn(gate) * value, down))
    weighted = torch.cat(outputs) * top_k_weights.reshape(-1)[order, None]
    total = torch.zeros_like(hidden_states, dtype=torch.float32)
    return total.index_add(0, token, weighted.float()).to(hidden_states.dtype)


class BalanceRouters:
    """The auxiliary-loss-free balancing of DeepSeek-V3 (report, 2.1.2).

    After a step the bias of each overloaded expert falls by `speed` and that of
    each underloaded one rises by it; the bias takes part in selection only.
    """

    def __init__(self, model):
        self.loads = []
        for layer in model.model.layers:
            gate = getattr(layer.mlp, "gate", None)
            if gate is not None:
                load = torch.zeros(gate.num_experts)
                self.loads.append((gate, load))
                gate.register_forward_hook(self._counter(load))

    @staticmethod
    def _counter(load):
        def hook(module, args, output):
            if module.training:
                load.add_(torch.bincount(output[2].reshape(-1), minlength=len(load)))

        return hook

    def step(self, speed):
        """Updates the biases; returns the largest load over the mean load."""
        worst = 0.0
        for gate, load in self.loads:
            mean = load.mean()
            worst = max(worst, (load.max() / mean).item())
            gate.e_score_correction_bias += speed * torch.sign(mean - load)
            load.zero_()
        return worst


def encode(tok, docs):
    """Returns all documents as one row of ids, each BOS text EOS."""
    ids = []
    for enc in tok.encode_batch(docs, add_special_tokens=False):
        ids += [0] + enc.ids + [1]
    return torch.tensor(ids)


@torch.no_grad()
def evaluate(model, ids, length):
    """Returns nats per token over `ids` cut into rows of `length`."""
    model.eval()
    rows = ids[: (len(ids) - 1) // length * length]
    total = 0.0
    for i in range(0, len(rows), length * 8):
        x = ids[i : min(i + length * 8, len(rows))].view(-1, length)
        y = ids[i + 1 : min(i + length * 8, len(rows)) + 1].view(-1, length)
        logits = model(input_ids=x, use_cache=False).logits
        total += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), y.flatten(), reduction="sum"
        ).item()
    model.train()
    return total / len(rows)


def save(out, model, tok, progress):
    """Replaces the files of `out`, each by a rename."""
    def put(name, write):
        temporary = os.path.join(out, name + ".tmp")
        write(temporary)
        os.replace(temporary, os.path.join(out, name))

    put("checkpoint.pt", lambda p: torch.save(model.state_dict(), p))
    put("tokenizer.json", tok.save)
    put("config.json", lambda p: json.dump(CONFIG, open(p, "w"), indent=1))
    put("progress.json", lambda p: json.dump(progress, open(p, "w"), indent=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2.5e-3)
    parser.add_argument("--save-every", type=float, default=3, help="minutes")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    os.makedirs(args.out, exist_ok=True)
    train_docs, held_docs = text.split()
    tok = bpe.train(train_docs, CONFIG["vocab_size"])
    train_ids, held_ids = encode(tok, train_docs), encode(tok, held_docs)
    held_chars = sum(len(d) for d in held_docs)
    print(f"{len(train_ids)} training tokens, {len(held_ids)} held out", flush=True)

    config = DeepseekV3Config(**CONFIG)
    config._attn_implementation = "sdpa"
    model = DeepseekV3ForCausalLM._from_config(config, dtype=torch.float32)
    for layer in model.model.layers[config.first_k_dense_replace :]:
        experts, gate = layer.mlp.experts, layer.mlp.gate
        torch.nn.init.normal_(gate.weight, std=0.02)
        experts.forward = types.MethodType(experts_forward, experts)
    balance = BalanceRouters(model)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=0.1), dict(params=plain, weight_decay=0)],
        lr=args.lr, betas=(0.9, 0.95), eps=1e-8, foreach=True,
    )

    start = time.time()
    saved = start
    step = seen = 0
    recent = None
    model.train()
    while True:
        now = time.time()
        share = (now - start) / (60 * args.minutes)
        if now - saved > 60 * args.save_every or share >= 1:
            held = evaluate(model, held_ids, args.length)
            progress = dict(
                step=step, tokens=seen, minutes=round((now - start) / 60, 1),
                train_nats_per_token=round(recent, 4),
                held_out_nats_per_token=round(held, 4),
                held_out_bits_per_character=round(
                    held * len(held_ids) / held_chars / math.log(2), 4),
            )
            save(args.out, model, tok, progress)
            print(json.dumps(progress), flush=True)
            saved = time.time()
            if share >= 1:
                return
        rate = args.lr * min(1.0, (step + 1) / 100)
        rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        at = torch.randint(0, len(train_ids) - args.length - 1, (args.batch,))
        rows = torch.stack([train_ids[a : a + args.length + 1] for a in at.tolist()])
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        worst = balance.step(0.002 if share < 0.9 else 0.0)
        recent = loss.item() if recent is None else 0.98 * recent + 0.02 * loss.item()
        step += 1
        seen += rows[:, 1:].numel()
        if step % 25 == 0 or step < 4:
            print(f"step {step} loss {recent:.3f} worst load {worst:.2f} "
                  f"{seen / (time.time() - start):.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main()
