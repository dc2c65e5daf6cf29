"""What pix2pix and CycleGAN share: generators, discriminators, and the checkpoints of the one release of both.

Both papers come from the same authors, who publish them together (junyanz/pytorch-CycleGAN-and-pix2pix): any generator
and any norm of it can be trained with either method, and files do not say with which one it was. So networks and layout
of files lie here once; what makes the papers two (losses, operations, defaults) lies in their plugins.
"""
