"""A model in Python on a GPU that computes nothing; what is given to it is on either device."""

import torch

import pigan
from benchmarks.pretended.convolutions import without_cudnn

without_cudnn()
model = pigan.load("cars-32", device="cuda")
yaw = torch.tensor([0.0, 1.0])
for z in (model.latents([1, 2]), model.latents([1, 2]).cpu()):
    for cameras in (model.cameras(yaw=yaw), model.cameras(yaw=yaw.cuda(), pitch=1.2)):
        image, depth = model.render(z, cameras, resolution=16, truncation=0.7)
        assert image.device.type == depth.device.type == "cuda" and image.shape == (2, 16, 16, 3)
        assert pigan.show(image, depth).size[0] > 16
        print(z.device.type, cameras.cam2world.device.type)
