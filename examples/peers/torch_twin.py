"""The same training in PyTorch, in its own process: python torch_twin.py FILE, as examples/results.py writes it.

The file holds the data, the initial parameters and the settings: same model, batch size, epochs, optimizer, clipping
and schedule. Sequences of different lengths are packed, and batches hold sequences of similar length, as in
lstm_fast. Symbols become one-hot vectors, batch by batch. Prints the seconds and the loss of the last epoch as JSON.
One thread.
"""

import json
import math
import sys
import time

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence


class Twin(torch.nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.lstm = torch.nn.LSTM(**settings["network"], batch_first=True)
        width = settings["network"]["hidden_size"] * (1 + settings["network"]["bidirectional"])
        self.head, self.readout = torch.nn.Linear(width, settings["out_features"]), settings["readout"]

    def forward(self, x, lengths):
        if not x.is_floating_point():
            x = torch.nn.functional.one_hot(x, self.lstm.input_size).float()
        if lengths is not None:
            x = pack_padded_sequence(x[:, : lengths.max()], lengths, batch_first=True, enforce_sorted=False)
        output, (h_n, _) = self.lstm(x)
        return self.head(
            output if self.readout == "all" else torch.cat(list(h_n[-1 - self.lstm.bidirectional :]), dim=1)
        )


def batches(n, lengths, batch_size):
    """Rows of each batch of an epoch."""
    rows = torch.randperm(n)
    if lengths is None:
        return rows.split(batch_size)
    groups = [
        group for pool in rows.split(32 * batch_size) for group in pool[lengths[pool].argsort()].split(batch_size)
    ]
    return [groups[k] for k in torch.randperm(len(groups))]


def train(model, x, y, lengths, settings):
    """(seconds, loss of the last epoch)"""
    optimizer = torch.optim.Adam(model.parameters(), settings["lr"])
    n_steps, step = settings["epochs"] * math.ceil(len(x) / settings["batch_size"]), 0
    begin = time.perf_counter()
    for _ in range(settings["epochs"]):
        total = 0.0
        for rows in batches(len(x), lengths, settings["batch_size"]):
            if settings["lr_schedule"] == "cosine":
                optimizer.param_groups[0]["lr"] = settings["lr"] * (1 + math.cos(math.pi * step / n_steps)) / 2
            p, target = model(x[rows], None if lengths is None else lengths[rows]), y[rows]
            if settings["loss"] == "cross_entropy":
                loss = torch.nn.functional.cross_entropy(p.flatten(0, -2), target.flatten())
            else:
                loss = torch.nn.functional.mse_loss(p, target.reshape(p.shape))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"])
            optimizer.step()
            total, step = total + loss.item() * len(rows), step + 1
    return time.perf_counter() - begin, total / len(x)


def train_truncated(model, x, y, settings):
    """(seconds, loss of the last epoch) of windows of series of one length, all of them rows of one batch."""
    optimizer = torch.optim.Adam(model.parameters(), settings["lr"])
    burn_in, truncate, T, step = settings["burn_in"], settings["truncate"], x.shape[1], 0
    n_steps = settings["epochs"] * math.ceil((T - burn_in) / truncate)
    begin = time.perf_counter()
    for _ in range(settings["epochs"]):
        total, state = 0.0, None
        if burn_in:
            with torch.no_grad():
                _, state = model.lstm(x[:, :burn_in])
        for first in range(burn_in, T, truncate):
            if settings["lr_schedule"] == "cosine":
                optimizer.param_groups[0]["lr"] = settings["lr"] * (1 + math.cos(math.pi * step / n_steps)) / 2
            part = slice(first, first + truncate)
            output, state = model.lstm(x[:, part], state)
            state = tuple(one.detach() for one in state)
            loss = torch.nn.functional.mse_loss(model.head(output), y[:, part])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"])
            optimizer.step()
            total, step = total + loss.item() * output.shape[1], step + 1
    return time.perf_counter() - begin, total / (T - burn_in)


def main(path):
    torch.set_num_threads(1)
    file = np.load(path)
    settings = json.loads(str(file["settings"]))
    torch.manual_seed(settings["seed"])
    model = Twin(settings)
    model.load_state_dict(
        {name.removeprefix("p:"): torch.tensor(file[name]) for name in file.files if name.startswith("p:")}
    )
    x, y = torch.tensor(file["x"]), torch.tensor(file["y"])
    lengths = torch.tensor(file["lengths"]) if "lengths" in file.files else None
    model(x[:1, :8], None)[0].sum().backward()  # what is done once is not timed
    if settings["truncate"]:
        seconds, loss = train_truncated(model, x, y, settings)
    else:
        seconds, loss = train(model, x, y, lengths, settings)
    print(json.dumps({"version": torch.__version__, "seconds": seconds, "loss": loss}))


if __name__ == "__main__":
    main(sys.argv[1])
