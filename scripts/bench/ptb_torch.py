"""Trains PyTorch's LSTM language model on Penn Treebank: the yardstick for configs/lm/ptb-full.toml.

One layer of 200 units, unit-norm queries and classes at tau = 1/0.3^2, full softmax, batch 20 x 35, Adam 2e-3 halved
every epoch from the third, dropout 0.1, gradient norm clipped at 5. Dense embeddings and dense Adam, as users write it.

    python scripts/bench/ptb_torch.py DIR_WITH_PTB_FILES [--epochs 3] [--steps N]

Prints tokens a second and the validation perplexity after each epoch. Needs torch; measured with 2.15, two threads.
"""

import argparse
import math
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--steps", type=int, default=0, help="stop after so many steps of the first epoch")
args = parser.parse_args()

torch.manual_seed(1)
torch.set_num_threads(2)
BATCH, STEPS, WIDTH, TAU = 20, 35, 200, 1 / 0.3**2


def read(split):
    with open(f"{args.folder}/ptb.{split}.txt", encoding="utf-8") as file:
        return [word for line in file for word in line.split() + ["<eos>"]]


words = {}
train, valid = ([words.setdefault(word, len(words)) for word in read(split)] for split in ("train", "valid"))


def streams(tokens, batch):
    length = len(tokens) // batch
    return torch.tensor(tokens[: length * batch]).view(batch, length).t().contiguous()


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(len(words), WIDTH)
        self.lstm = torch.nn.LSTM(WIDTH, WIDTH)
        self.classes = torch.nn.Parameter(torch.randn(len(words), WIDTH) / WIDTH**0.5)
        self.dropout = torch.nn.Dropout(0.1)
        torch.nn.init.uniform_(self.words.weight, -0.1, 0.1)

    def forward(self, inputs, state):
        h, state = self.lstm(self.dropout(self.words(inputs)), state)
        h = F.normalize(self.dropout(h).flatten(0, 1), dim=1)
        return TAU * h @ F.normalize(self.classes, dim=1).t(), state


def windows(text):
    for start in range(0, len(text) - 1, STEPS):
        end = min(start + STEPS, len(text) - 1)
        yield text[start:end], text[start + 1 : end + 1].flatten()


model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
train, valid = streams(train, BATCH), streams(valid, 10)
began, tokens = time.time(), 0
for epoch in range(1, args.epochs + 1):
    for group in optimizer.param_groups:
        group["lr"] = 2e-3 * 0.5 ** max(0, epoch - 2)
    model.train()
    state = None
    for step, (inputs, targets) in enumerate(windows(train), 1):
        logits, state = model(inputs, state)
        state = tuple(part.detach() for part in state)
        optimizer.zero_grad()
        F.cross_entropy(logits, targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        tokens += len(targets)
        if step == args.steps:
            break
    seconds = time.time() - began
    print(f"epoch {epoch}: {tokens / seconds:,.0f} tokens a second, {seconds:.0f} s", flush=True)
    if args.steps:
        break
    model.eval()
    with torch.no_grad():
        state, total, count = None, 0.0, 0
        for inputs, targets in windows(valid):
            logits, state = model(inputs, state)
            total += F.cross_entropy(logits, targets, reduction="sum").item()
            count += len(targets)
    print(f"epoch {epoch}: validation perplexity {math.exp(total / count):.1f}", flush=True)
    began += time.time() - began - seconds
