# ruff: noqa
# fmt: off
"""No Lightning: a loop of its own, f-strings, and everything written by hand."""
import csv
import os

import numpy as np
import torch
from torch import nn

dataset = 'points_v1'
run = 'run7'
EPOCHS = 2


def load_split(split):
    arrays = np.load(f'dataset/prepdata/{dataset}/{split}/points.npz')
    return list(zip(arrays['x'], arrays['y']))


def make_model():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def load_model(path):
    model = make_model()
    model.load_state_dict(torch.load(path))
    return model.eval()


def epoch_loss(model, samples):
    x = torch.stack([torch.from_numpy(raw) for raw, _ in samples])
    y = torch.tensor([int(target) for _, target in samples])
    return nn.functional.cross_entropy(model(x), y)


def main():
    out = f'Models/Artifacts/{run}'
    os.makedirs(f'{out}/logs/version_0', exist_ok=True)
    model, best = make_model(), float('inf')
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train, valid = load_split('train'), load_split('valid')
    with open(f'{out}/logs/version_0/metrics.csv', 'w') as file:
        table = csv.writer(file)
        table.writerow(['epoch', 'train_loss', 'val_loss'])
        for epoch in range(EPOCHS):
            loss = epoch_loss(model, train)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            val_loss = epoch_loss(model, valid).item()
            table.writerow([epoch, loss.item(), val_loss])
            if val_loss < best:
                best = val_loss
                torch.save(model.state_dict(), f'{out}/model_best.pth')
    torch.save(model.state_dict(), f'{out}/model_last.pth')
    with open(f'{out}/logs/version_0/hparams.yaml', 'w') as file:
        file.write(f'epochs: {EPOCHS}\n')


if __name__ == '__main__':
    main()
